"""
Cutting revoked gateways off: the broker keeps them out, and ends the connections that they hold.

Recorded first, done then, and done again until it was seen: a gateway whose `cut_at` is null is
still to be cut. That the broker has read the newest list is not believed but tried: each list
names a certificate that was made for it, and a broker that lets that one in has an older list.
"""

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from runtime.errors import RuntimeSetupError
from runtime.logs import Log, describe
from trust import files, pki
from trust.certificates import Authority
from trust.config import CertificateSettings
from trust.enrolment import Enrolment
from trust.errors import BrokerUnavailable, TrustError
from trust.ports import Clock, Door
from trust.reload import reload_broker
from trust.vault import Vault

T = TypeVar("T")

_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.1
_AT_ONCE: Final = 100
_log: Final = Log("trust.cutoff")


class Cut(msgspec.Struct, frozen=True):
    """What came of it."""

    agents: list[str]
    """Cut off now."""
    pending: list[str]
    """Still to be cut off."""
    problem: str = ""
    """Why, and what to do; empty when nothing is pending."""


class Cutoff:
    """
    Cuts off.

    Args:
        vault: Who is to be cut off.

        enrolment: Writes the revocation list.

        authority: Makes the certificates to connect with.

        certificates: Where the broker reads the list, and how it is told to read it again.

        door: Of the broker; None where none is in the settings.

        clock: Tells the time.
    """

    def __init__(
        self,
        vault: Vault,
        enrolment: Enrolment,
        authority: Authority,
        certificates: CertificateSettings,
        *,
        door: Door | None,
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
        """The list that the probe is on, and how many certificates were revoked then."""

    def pending(self) -> list[str]:
        """
        Return revoked gateways that were not cut off yet, at most a hundred.

        Raises:
            VaultUnavailable: It is not known.
        """
        with self._vault.transaction() as records:
            return records.uncut(limit=_AT_ONCE)

    def again(self) -> bool:
        """Cut off who is pending; return whether nobody is any more. For the daemon."""
        try:
            return not self.pending() or not self.run(is_due=False).pending
        except (TrustError, RuntimeSetupError, OSError) as exc:
            # OSError: the list's folder may be closed to us.
            _log.error("not_cut_off", error=describe(exc))
            return False

    def run(self, *, is_due: bool = True) -> Cut:
        """
        Write the list, have it read, and cut off who is pending.

        Args:
            is_due: Whether the list is written also where the last one of this object has all.

        Raises:
            KeyFileError: The list cannot be written.
            VaultUnavailable: Nothing is done, or it is not recorded that it was.
        """
        done: list[str] = []
        try:
            done = self._cut(is_due=is_due)
            problem = ""
        except _Undone as exc:
            problem = str(exc)
        except BrokerUnavailable as exc:
            problem = f"the daemon does it once it reaches the broker ({exc})"
        pending = self.pending()
        if done:
            _log.info("cut_off", agents=len(done))
        if pending:
            _log.warning("not_cut_off", agents=len(pending), why=problem)
        return Cut(done, pending, problem)

    def _cut(self, *, is_due: bool) -> list[str]:
        chosen = self._certificates
        if chosen.crl_file is None:
            raise _Undone("set certificates.crl_file: no revocation list was written")
        probe = self._write(chosen.crl_file, is_due=is_due)
        problem = reload_broker(chosen.reload_command, timeout_s=chosen.reload_timeout_s)
        if problem is not None:
            raise _Undone(problem)
        pending = self.pending()
        if not pending:
            return []
        if self._door is None:
            raise _Undone("set [broker]: trust cannot reach it to end connections")
        if not self._is_read(self._door, probe):
            raise _Undone(
                "have the broker read its revocation list again (SIGHUP): it let in a certificate"
                " that is on the newest one"
            )
        for agent in pending:
            stand_in = self._authority.stand_in(agent, now=self._clock())
            _wait_for(self._door.take_over(agent, stand_in))
            # Each by itself: a broker that goes away after the tenth has cut off ten.
            with self._vault.transaction() as records:
                records.note_cut([agent])
        return pending

    def _write(self, crl: Path, *, is_due: bool) -> pki.Holder:
        """Write the list, if it must be; return what is on the newest one and on no other."""
        with self._vault.transaction() as records:
            revoked = len(records.revocations())
        is_there = crl.exists() and (files.read(crl), revoked) == self._written
        if self._probe is None or is_due or not is_there:
            # Another one with each list: an older list that was read must not pass for this one.
            probe = self._authority.probe(now=self._clock())
            self._enrolment.write_revocations(crl, probe=probe)
            self._probe, self._written = probe, (files.read(crl), revoked)
        return self._probe

    def _is_read(self, door: Door, probe: pki.Holder) -> bool:
        """Tell whether the broker keeps *probe* out before long."""
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
    """It cannot be done now; the text says what to do."""


def _wait_for(work: Coroutine[Any, Any, T]) -> T:
    # In a thread: a batch runs commands inside a loop of its own.
    with ThreadPoolExecutor(1, thread_name_prefix="door") as thread:
        return thread.submit(asyncio.run, work).result()
