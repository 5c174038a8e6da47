"""Renews the certificate before it expires, while the agent runs."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from typing import Final

from edge_agent.config import AgentSettings
from edge_agent.errors import CredentialError, DeskRefused, DeskUnavailable
from runtime.logs import Log, describe
from runtime.settings import TlsSettings

_EVERY_S: Final = 3600.0
_log: Final = Log("agent.renewal")


@contextlib.asynccontextmanager
async def renewing(settings: AgentSettings) -> AsyncIterator[None]:
    """While the context is open, renew the certificate when due, if `enrolment.url` is set."""
    task = asyncio.create_task(_for_ever(settings), name="renewal")
    task.add_done_callback(_tell_why)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_why(task: asyncio.Task[None]) -> None:
    """Log why *task* failed: otherwise it would be noticed only when the certificate expires."""
    if not task.cancelled() and (failure := task.exception()) is not None:
        _log.error("renewal_died", error=describe(failure))


def settle(tls: TlsSettings) -> None:
    """Complete a renewal that a crash interrupted, before certificate and key are read."""
    if not tls.key_file.with_name(f".{tls.key_file.name}.next").exists():
        return
    from edge_agent.enrolment import credentials

    try:
        credentials.settle(tls.certificate_file, tls.key_file)
    except CredentialError as exc:
        _log.warning("certificate_not_settled", error=describe(exc))


async def _for_ever(settings: AgentSettings) -> None:
    while settings.enrolment is not None:
        try:
            if await asyncio.to_thread(renew_if_due, settings):
                _log.info("certificate_renewed")
        except (DeskRefused, DeskUnavailable, CredentialError) as exc:
            _log.warning("certificate_not_renewed", error=describe(exc))
        await asyncio.sleep(_EVERY_S)


def renew_if_due(settings: AgentSettings) -> bool:
    """
    Renew the certificate if it is due; return whether it was renewed.

    Raises:
        DeskRefused: The enrolment service rejects the certificate in use.
        DeskUnavailable: Try again later.
        CredentialError: A file cannot be read or written.
    """
    # Imported here: an agent that was enrolled from a bundle needs neither this nor its memory.
    from edge_agent.enrolment import enrol

    chosen, tls = settings.enrolment, settings.broker.tls
    now = dt.datetime.now(dt.UTC)
    if chosen is None or not enrol.is_due(tls, now=now, renew_at=chosen.renew_at):
        return False
    enrol.renew(tls, agent=settings.agent, url=chosen.url)
    return True
