"""
Cut-off of revoked gateways: the broker refuses them and ends their open connections.

The revocation is recorded first, and the cut-off is repeated until it is verified: a gateway whose
`cut_at` is null is still to be cut off. A test connection shows whether the broker has read the
newest list: each list names a probe certificate of its own, and a broker that accepts this probe
has an older list.
"""

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from runtime.logs import Log
from trust.config import CertificateSettings
from trust.domain import pki
from trust.domain.units import SENTENCES, Cause, Failure, UnitKind, gateway, job
from trust.enrolment.authority import Authority
from trust.enrolment.broker_reload import reload_broker
from trust.enrolment.enrolment import Enrolment
from trust.errors import BrokerUnavailable
from trust.keys import files
from trust.ports import Clock, ConnectionControl
from trust.vault.isolation import attempt
from trust.vault.protocols import Vault

T = TypeVar("T")

CUTOFF: Final = "cutoff"
"""The name of the job that makes the broker refuse revoked gateways."""
_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.1
_log: Final = Log("trust.enrolment.cutoff")


class CutoffResult(msgspec.Struct, frozen=True):
    """The result of one run of the cut-off."""

    agents: list[str]
    """How many gateways this run cut off."""
    pending: list[str]
    """How many gateways are still to be cut off."""
    problem: str = ""
    """Why gateways are pending, and what the operator can do; empty when none is pending."""


class Cutoff:
    """
    Cuts off revoked gateways one by one, so that one failure does not keep the others connected.

    Args:
        vault: The vault that lists the gateways to cut off.

        enrolment: Writes the revocation list.

        authority: Issues the short-lived certificates for the connections to the broker.

        certificates: The path of the list, and the command that makes the broker read it again.

        door: The control of the broker's connections; None if the settings name no broker.

        clock: Returns the current time.
    """

    def __init__(
        self,
        vault: Vault,
        enrolment: Enrolment,
        authority: Authority,
        certificates: CertificateSettings,
        *,
        door: ConnectionControl | None,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._enrolment = enrolment
        self._authority = authority
        self._certificates = certificates
        self._door = door
        self._clock = clock
        self._probe: pki.Holder | None = None
        self._written = (b"", 0)
        """The probe of the last list, and how many certificates that list revoked."""

    def pending(self) -> list[str]:
        """
        Return the revoked gateways that are not cut off yet.

        Raises:
            VaultUnavailable: The vault could not be read.
        """
        with self._vault.transaction() as records:
            return records.agents.uncut()

    def again(self) -> set[Failure]:
        """
        Cut off the pending gateways, as a job of the daemon; return the fault, if there is one.

        Raises:
            KeyFileError: The list cannot be written.
            Unavailable: The broker or the vault does not answer; some gateways may be cut off.
        """
        if not self.pending():
            return set()
        done: list[str] = []
        try:
            failures, problem = self._cut(done, is_due=False)
        finally:
            if done:
                _log.info("cut_off", agents=len(done))
        if problem:
            _log.warning("not_cut_off", why=problem)
        return failures

    def run(self, *, is_due: bool = True) -> CutoffResult:
        """
        Write the list, make the broker read it, and cut off the pending gateways.

        Args:
            is_due: Whether to write the list even if the last list of this object is complete.

        Raises:
            KeyFileError: The list cannot be written.
            VaultUnavailable: Nothing was done, or the cut-off could not be recorded.
        """
        done: list[str] = []
        try:
            _, problem = self._cut(done, is_due=is_due)
        except BrokerUnavailable as exc:
            problem = f"the daemon does it once it reaches the broker ({exc})"
        pending = self.pending()
        if done:
            _log.info("cut_off", agents=len(done))
        if pending:
            _log.warning("not_cut_off", agents=len(pending), why=problem)
        return CutoffResult(done, pending, problem)

    def _cut(self, done: list[str], *, is_due: bool) -> tuple[set[Failure], str]:
        """Cut gateways off and add them to *done*; return the fault, and the fault in words."""
        try:
            failures = self._cut_each(done, is_due=is_due)
        except _Undone as exc:
            return {Failure(job(CUTOFF), exc.cause)}, str(exc)
        causes = sorted({failure.cause for failure in failures})
        return failures, ". ".join(". ".join(SENTENCES[cause]) for cause in causes)

    def _cut_each(self, done: list[str], *, is_due: bool) -> set[Failure]:
        chosen = self._certificates
        if chosen.crl_file is None:
            raise _Undone(
                Cause.NOT_SET, "set certificates.crl_file: no revocation list was written"
            )
        probe = self._write(chosen.crl_file, is_due=is_due)
        problem = reload_broker(chosen.reload_command, timeout_s=chosen.reload_timeout_s)
        if problem is not None:
            raise _Undone(Cause.COMMAND, problem)
        pending = self.pending()
        if not pending:
            return set()
        if self._door is None:
            raise _Undone(Cause.NOT_SET, "set [broker]: trust cannot reach it to end connections")
        if not self._is_read(self._door, probe):
            raise _Undone(
                Cause.LIST_UNREAD,
                "have the broker read its revocation list again (SIGHUP): it let in a certificate"
                " that is on the newest one",
            )
        failures = set()
        for agent in pending:
            cause = self._cut_one(self._door, agent, probe)
            if cause is None:
                done.append(agent)
            else:
                failures.add(Failure(gateway(agent), cause))
        return failures

    def _cut_one(self, door: ConnectionControl, agent: str, probe: pki.Holder) -> Cause | None:
        """Cut *agent* off; return None, or why that failed."""

        def take_over() -> None:
            stand_in = self._authority.stand_in(agent, now=self._clock())
            _wait_for(door.take_over(agent, stand_in))
            # Each gateway is recorded by itself: if the broker fails after ten gateways, ten are
            # recorded.
            with self._vault.transaction() as records:
                records.agents.note_cut([agent])

        try:
            return attempt(take_over, kind=UnitKind.GATEWAY)
        except BrokerUnavailable:
            # This raises again when the broker is away, which is not this gateway's fault.
            _wait_for(door.lets_in(probe))
            return Cause.NOT_CUT

    def _write(self, crl: Path, *, is_due: bool) -> pki.Holder:
        """
        Write the list if necessary; return the probe certificate that only the newest list
        names.
        """
        with self._vault.transaction() as records:
            revoked = len(records.agents.revocations())
        try:
            is_there = crl.exists() and (files.read(crl), revoked) == self._written
        except OSError as exc:
            # The folder may be unreadable for this process.
            raise files.unwritable(crl, exc) from None
        if self._probe is None or is_due or not is_there:
            # Each list has a new probe, so that an older list cannot pass for this list.
            probe = self._authority.probe(now=self._clock())
            self._enrolment.write_revocations(crl, probe=probe)
            self._probe, self._written = probe, (files.read(crl), revoked)
        return self._probe

    def _is_read(self, door: ConnectionControl, probe: pki.Holder) -> bool:
        """Tell whether the broker refuses *probe* within the time limit."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            is_late = time.monotonic() > deadline
            try:
                if not _wait_for(door.lets_in(probe)):
                    return True
            except BrokerUnavailable:
                if is_late:
                    raise
            if is_late:
                return False
            time.sleep(_PAUSE_S)


class _Undone(Exception):
    """No gateway can be cut off now; the text says what to do."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


def _wait_for(work: Coroutine[Any, Any, T]) -> T:
    # A thread runs the loop, because a batch runs commands inside an event loop already.
    with ThreadPoolExecutor(1, thread_name_prefix="door") as thread:
        return thread.submit(asyncio.run, work).result()
