"""SIGHUP: read the settings again, and apply those that can change while the agent runs."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from edge_agent.config import AgentSettings
from edge_agent.pipeline.batch_queue import BatchLimits
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.service import Service
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.spool_writer import SpoolWriter
from edge_agent.uplink import outbox
from edge_agent.uplink.outbox import Outbox
from edge_agent.uplink.uplink import Uplink
from runtime import logs
from runtime.backoff import Backoff
from runtime.errors import ConfigError
from runtime.logs import Log

_LIVE: Final = ("batch", "publish", "spool", "log")
"""Sections that take effect at once. All others need a restart."""

_FORGET_EVERY: Final = 12
"""In units of `batch.max_age_s`: settled envelopes are removed together, a minute later."""

_log = Log("agent")


def forget_within_s(settings: AgentSettings) -> float:
    """Return how long settled envelopes may stay in the spool, in seconds."""
    return _FORGET_EVERY * settings.batch.max_age_s


def batch_limits(settings: AgentSettings) -> BatchLimits:
    """Return when a batch is due."""
    batch = settings.batch
    return BatchLimits(
        batch.max_observations,
        batch.max_age_s,
        batch.due_observations,
        int(batch.max_ahead_s * 1000),
    )


def publish_limits(settings: AgentSettings) -> outbox.OutboxLimits:
    """Return the limits of publishing."""
    publish = settings.publish
    return outbox.OutboxLimits(
        publish.max_unsettled, publish.resend_after_s, publish.backlog_per_s
    )


def spool_bounds(settings: AgentSettings) -> SpoolLimits:
    """Return the limits of the spool."""
    return SpoolLimits(settings.spool.max_bytes, settings.spool.min_free_bytes)


class ReloadTargets(msgspec.Struct, frozen=True):
    """The parts of a running agent whose limits can change."""

    pipeline: Pipeline
    outbox: Outbox
    spool: SqliteSpool
    spool_writer: SpoolWriter
    uplink: Uplink
    backoff: Backoff
    service: Service


def reload(
    live: ReloadTargets, held: AgentSettings, read: Callable[[], AgentSettings], *, now: float
) -> AgentSettings:
    """
    Apply the settings that *read* returns, as far as possible; return the settings in force.

    Wrong settings change nothing.
    """
    live.service.reloading(now=now)
    try:
        new = read()
    except ConfigError as exc:
        _log.error("not_reloaded", key=exc.key)
        live.service.ready()
        return held
    for section in _fixed_changes(held, new):
        _log.warning("needs_restart", section=section)
    live.pipeline.limits = batch_limits(new)
    live.outbox.limits = publish_limits(new)
    live.spool.bounds = spool_bounds(new)
    live.spool_writer.max_age_s = new.spool.max_age_s
    live.uplink.forget_within_s = forget_within_s(new)
    live.backoff.longest_s = new.publish.longest_wait_s
    logs.configure(new.log.level)
    # Reconnect, so that a renewed certificate is used at once.
    live.uplink.announce()
    _log.info("reloaded")
    live.service.ready()
    return msgspec.structs.replace(held, **{name: getattr(new, name) for name in _LIVE})


def _fixed_changes(held: AgentSettings, new: AgentSettings) -> Iterator[str]:
    for name in AgentSettings.__struct_fields__:
        if name not in _LIVE and getattr(held, name) != getattr(new, name):
            yield name
