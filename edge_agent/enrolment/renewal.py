"""Keeps the certificate from running out while the agent runs."""

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
    """Renew the certificate when it is due, while the context is open, if a desk is set."""
    task = asyncio.create_task(_for_ever(settings), name="renewal")
    task.add_done_callback(_tell_why)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_why(task: asyncio.Task[None]) -> None:
    """Tell why *task* died, if it did: nobody else would notice before the certificate ends."""
    if not task.cancelled() and (failure := task.exception()) is not None:
        _log.error("renewal_died", error=describe(failure))


def settle(tls: TlsSettings) -> None:
    """Finish a renewal that a crash cut off, before the pair of files is read."""
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
    Renew the certificate if it is late in its life; return whether it was.

    Raises:
        DeskRefused: The desk does not take the certificate in use.
        DeskUnavailable: Do it again later.
        CredentialError: A file cannot be read or written.
    """
    # Only now: an agent whose bundle came on a stick needs none of it, nor its memory.
    from edge_agent.enrolment import enrol

    chosen, tls = settings.enrolment, settings.broker.tls
    now = dt.datetime.now(dt.UTC)
    if chosen is None or not enrol.is_due(tls, now=now, renew_at=chosen.renew_at):
        return False
    enrol.renew(tls, agent=settings.agent, url=chosen.url)
    return True
