"""Faults to plant at one gateway, each of which must affect this gateway alone."""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.vault import Office
from trust.domain import policy_file
from trust.domain.purposes import Allowed, Article6, Article9, Purpose, Retention
from trust.domain.units import Cause
from wire.policy import Aggregate

STUDY: Final = """\
purpose: {name}@1
art6: 6.1.a
art9: 9.2.j
recipients: [study]
quantities:
  heart_rate: {{round: 5, min_interval: 1s, time_rounding: 1s, aggregate: mean}}
retention: {{raw: 30d, aggregates: 30d}}
"""
_P: Final = 2**255 - 19
LOW_ORDER: Final = (
    0, 1, _P - 1, _P, _P + 1,
    0xB8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
)  # fmt: skip
"""The seven encodings of X25519 points of low order (RFC 7748, 7), without the high bit."""
Poison = Callable[[Office, str, str], None]
"""Plants a fault at a gateway, or of the subject that is measured there."""


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Record decisions as an earlier version did, which did not check gateways and leases."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trust.reconcile.reconciler.Reconciler.check_handle", lambda *_: None)
        patched.setattr(
            "trust.reconcile.reconciler.Reconciled.check", lambda self, _agent=None: self
        )
        yield


def _sql(statement: str) -> Poison:
    def plant(office: Office, agent: str, _subject: str) -> None:
        office.vault.execute(statement, agent)

    return plant


def _of_subject(statement: str) -> Poison:
    def plant(office: Office, _agent: str, subject: str) -> None:
        office.vault.execute(statement, subject)

    return plant


def _other_purpose(office: Office, agent: str, subject: str) -> str:
    name = f"study-{secrets.token_hex(4)}".replace("-0", "-a")
    with office.app.vault.transaction() as records:
        records.purposes.add(policy_file.parse(STUDY.format(name=name)))
    with unchecked():
        office.run(
            "decision", "record", "--subject", subject, "--purpose", f"{name}@1",
            "--agent", agent, "--binding", "C0:FF:EE:00:00:99", *INVENTED_YES,
        )  # fmt: skip
    return name


def _damaged_policy(office: Office, agent: str, subject: str) -> None:
    name = _other_purpose(office, agent, subject)
    office.vault.execute("UPDATE vault.purposes SET document = '{' WHERE purpose = %s", name)


def _policy(quantity: str, *, step: int = 1, bucket_bytes: int = 128) -> Poison:
    """Record a person's signed consent to a policy version that this release does not know."""

    def plant(office: Office, agent: str, subject: str) -> None:
        name = _other_purpose(office, agent, subject)
        later = Purpose(
            name,
            2,
            Article6.CONSENT,
            Article9.RESEARCH,
            {quantity: Allowed(step, 1000, 1000, Aggregate.MEAN)},
            Retention(30, 30),
            bucket_bytes=bucket_bytes,
        )
        with office.app.vault.transaction() as records:
            records.purposes.add(later)
        with unchecked():
            office.run(
                "decision", "record", "--subject", subject, "--purpose", f"{name}@2",
                "--agent", agent, "--binding", "C0:FF:EE:00:00:99", *INVENTED_YES,
            )  # fmt: skip

    return plant


def key_file(office: Office, name: str) -> Path:
    """Return the file of the second epoch of a purpose."""
    return office.settings.keys.folder / f"pseudonym-root.{name}.2.key"


def _missing_key(office: Office, agent: str, subject: str) -> None:
    name = _other_purpose(office, agent, subject)
    office.run("pseudonym", "rotate", "--purpose", name)
    key_file(office, name).unlink()


def _damaged_key(office: Office, agent: str, subject: str) -> None:
    name = _other_purpose(office, agent, subject)
    office.run("pseudonym", "rotate", "--purpose", name)
    key_file(office, name).write_bytes(b"not a key\xff\n")


def _crowded(office: Office, agent: str, _subject: str) -> None:
    """Bind so many sensors that the lease exceeds the broker's packet size."""
    with unchecked():
        for person in range(28):
            bindings = [f"AA:00:00:00:{person:02X}:{n:02X}" for n in range(16)]
            flags = [word for b in bindings[1:] for word in ("--binding", b)]
            office.accept(office.add_subject(), agent, *flags, binding=bindings[0])


POISONS: Final[Mapping[str, tuple[Poison, Cause]]] = {
    "a signature that is none": (
        _of_subject("UPDATE vault.decisions SET signature = '' WHERE subject = %s"),
        Cause.TAMPERED,
    ),
    "a decision that is no document": (
        _of_subject("UPDATE vault.decisions SET document = '\\xff' WHERE subject = %s"),
        Cause.TAMPERED,
    ),
    "bindings that do not open": (
        _of_subject("UPDATE vault.handles SET sealed_bindings = '\\x00' WHERE subject = %s"),
        Cause.TAMPERED,
    ),
    "a person's key that does not open": (
        _of_subject("UPDATE vault.subjects SET wrapped_key = '' WHERE subject = %s"),
        Cause.TAMPERED,
    ),
    "a policy that is no document": (_damaged_policy, Cause.TAMPERED),
    "a policy of a later release": (_policy("brain_waves"), Cause.UNUSABLE),
    "a policy that pads too much": (_policy("heart_rate", bucket_bytes=1 << 20), Cause.UNUSABLE),
    "a policy that rounds too much": (_policy("heart_rate", step=1 << 40), Cause.UNUSABLE),
    "a key that is missing": (_missing_key, Cause.KEY_FILE),
    "a key that is damaged": (_damaged_key, Cause.KEY_FILE),
    "a time that cannot be read": (
        _sql("UPDATE vault.agents SET due_at = '-infinity' WHERE agent = %s"),
        Cause.ROW_REFUSED,
    ),
    "a version that telemetry does not take": (
        _sql("UPDATE vault.agents SET lease_version = 9223372036854775807 WHERE agent = %s"),
        Cause.ROW_REFUSED,
    ),
    "another lease key": (
        _sql("UPDATE vault.agents SET lease_key = decode(repeat('09', 32), 'hex')"
             " WHERE agent = %s"),
        Cause.REGISTRATION,
    ),
    "a lease that is too large": (_crowded, Cause.LEASE_TOO_LARGE),
}  # fmt: skip


def enrol_with(office: Office, lease_key: bytes) -> str:
    """Register a gateway with an unchecked key, as an earlier version did."""
    agent = secrets.token_hex(8)
    with office.app.vault.transaction() as records:
        records.agents.add(agent, sealed=True, lease_key=lease_key)
    return agent


def want(office: Office, *agents: str) -> None:
    """Make trust reconcile *agents* again."""
    with office.app.vault.transaction() as records:
        records.leases.mark_stale(agents)


def set_aside(office: Office) -> dict[str, set[str]]:
    """Return the causes of the units that are set aside, by the unit that they block."""
    found: dict[str, set[str]] = {}
    for stands_in, cause in office.vault.fetch("SELECT stands_in, cause FROM vault.set_aside"):
        found.setdefault(str(stands_in), set()).add(str(cause))
    return found
