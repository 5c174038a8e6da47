"""
Consent without a server: what is recorded, what takes effect, and what remains after a
crash.
"""

import datetime as dt
import hashlib
from collections.abc import Callable
from functools import partial
from uuid import UUID

import msgspec
import pytest

from tests.fakes.telemetry import row_refused
from tests.fakes.vault.decisions import MemoryDecisions
from tests.support.clinic import Clinic
from tests.support.vault_rows import PURPOSE, add_subject, purpose
from trust.config import ConsentSettings
from trust.consent.consent import Consent
from trust.consent.giving import Grant, Refusal
from trust.decisions.decisions import GivenBy, State
from trust.decisions.evidence import Method, Said
from trust.errors import (
    Conflict,
    EndedUnrecorded,
    NotFound,
    NotInForce,
    Refused,
    VaultUnavailable,
)
from trust.ports import Keys
from trust.reconcile.reconciler import Reconciler

_SAID = Said(
    method=Method.CHECKBOX,
    text_sha256=hashlib.sha256(b"What you agree to").hexdigest(),
    locale="en-GB",
    given_at="now",
)
_BINDING = "C0:FF:EE:00:00:01"


class Killed(BaseException):
    """The process is killed at this instruction."""


class _Open:
    def ensure(self) -> None:
        """Allow everything."""


@pytest.fixture
def clinic(keys: Keys) -> Clinic:
    """A clinic with the demo's purpose."""
    made = Clinic(keys)
    with made.vault.transaction() as records:
        records.purposes.add(purpose())
    made.wait(seconds=1)
    return made


@pytest.fixture
def consent(clinic: Clinic) -> Consent:
    """The consent procedures of the clinic."""
    return Consent(
        clinic.vault,
        Reconciler(clinic.reconciler, _Open()),
        clock=clinic.now,
        ages=ConsentSettings(),
    )


def _person(clinic: Clinic) -> UUID:
    with clinic.vault.transaction() as records:
        return add_subject(records)


def _grant(subject: UUID, agent: str, *bindings: str) -> Grant:
    return Grant(
        subject=subject,
        purpose=PURPOSE,
        version=1,
        quantities=["heart_rate"],
        agent=agent,
        bindings=list(bindings) or [_BINDING],
        given_by=GivenBy.SELF,
        said=_SAID,
    )


def _states(clinic: Clinic, subject: UUID) -> list[State]:
    with clinic.vault.transaction() as records:
        return [decision.state for decision in records.decisions.chain(subject, PURPOSE)]


def test_what_was_accepted_may_be_stored(clinic: Clinic, consent: Consent) -> None:
    """After a consent its handle is permitted and in a lease, and no work is left."""
    agent, subject = clinic.enrol(), _person(clinic)

    taken = consent.accept(_grant(subject, agent))

    assert clinic.telemetry.handles_of(agent) == {taken.handle}
    assert clinic.lease_versions() == {agent: 1}
    assert _states(clinic, subject) == [State.ACCEPTED]
    assert clinic.unfinished() == []


def test_what_was_withdrawn_may_not_be_stored(clinic: Clinic, consent: Consent) -> None:
    """After a withdrawal no handle of the purpose is permitted at any gateway."""
    agents, subject = [clinic.enrol(), clinic.enrol()], _person(clinic)
    for agent in agents:
        consent.accept(_grant(subject, agent))
        clinic.wait(seconds=1)

    consent.withdraw(subject, PURPOSE)

    assert [clinic.telemetry.handles_of(agent) for agent in agents] == [set(), set()]
    assert _states(clinic, subject)[-1] is State.WITHDRAWN
    with pytest.raises(Conflict):
        consent.withdraw(subject, PURPOSE)


def test_agreeing_again_ends_the_earlier_handle(clinic: Clinic, consent: Consent) -> None:
    """A new consent at the same gateway ends the earlier handle of the purpose."""
    agent, subject = clinic.enrol(), _person(clinic)
    first = consent.accept(_grant(subject, agent))
    clinic.wait(seconds=1)

    second = consent.accept(_grant(subject, agent))

    assert first.handle != second.handle
    assert clinic.telemetry.handles_of(agent) == {second.handle}


@pytest.mark.parametrize("word", ["accept", "withdraw"])
def test_a_decision_that_was_cut_off_is_finished_by_the_daemon(
    clinic: Clinic, consent: Consent, word: str
) -> None:
    """A decision that was recorded before a crash is completed by the daemon."""
    agent, subject = clinic.enrol(), _person(clinic)
    if word == "withdraw":
        consent.accept(_grant(subject, agent))

    def die(_: object) -> None:
        clinic.telemetry.before_write = lambda changes: None
        raise Killed

    decide: Callable[[], object] = (
        partial(consent.accept, _grant(subject, agent))
        if word == "accept"
        else partial(consent.withdraw, subject, PURPOSE)
    )
    clinic.telemetry.before_write = die
    with pytest.raises(Killed):
        decide()

    assert clinic.unfinished() == [agent]
    clinic.reconciler.reconcile([agent])
    assert len(clinic.telemetry.handles_of(agent)) == (word == "accept")


def _revoked(clinic: Clinic, grant: Grant) -> Grant:
    with clinic.vault.transaction() as records:
        records.agents.revoke(grant.agent)
    return grant


REFUSED: dict[str, Callable[[Clinic, Grant], Grant]] = {
    "an unknown agent": lambda _, g: msgspec.structs.replace(g, agent="0" * 16),
    "a revoked agent": _revoked,
    "an unknown person": lambda _, g: msgspec.structs.replace(g, subject=UUID(int=0)),
    "an unknown version": lambda _, g: msgspec.structs.replace(g, version=9),
    "no binding": lambda _, g: msgspec.structs.replace(g, bindings=[]),
    "a binding twice": lambda _, g: msgspec.structs.replace(g, bindings=[_BINDING, _BINDING]),
    "another's binding": lambda _, g: msgspec.structs.replace(g, bindings=[_BINDING[:-1] + "9"]),
    "another quantity": lambda _, g: msgspec.structs.replace(g, quantities=["rr_interval"]),
    "an end that is past": lambda c, g: msgspec.structs.replace(
        g, valid_to=c.at - dt.timedelta(days=1)
    ),
    "nothing said": lambda _, g: msgspec.structs.replace(g, said=Said()),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_records_nothing(clinic: Clinic, consent: Consent, kind: str) -> None:
    """A refused command records neither decision nor handle, and leaves no work."""
    agent, subject, other = clinic.enrol(), _person(clinic), _person(clinic)
    consent.accept(_grant(other, agent, _BINDING[:-1] + "9"))
    before = clinic.telemetry.handles_of(agent)
    grant = REFUSED[kind](clinic, _grant(subject, agent))

    with pytest.raises((Refused, NotFound)):
        consent.accept(grant)

    assert _states(clinic, subject) == []
    assert clinic.telemetry.handles_of(agent) == before
    assert clinic.unfinished() == []


def _withdraw(consent: Consent, subject: UUID) -> object:
    return consent.withdraw(subject, PURPOSE)


def _refuse(consent: Consent, subject: UUID) -> object:
    return consent.record(
        Refusal(
            subject=subject, purpose=PURPOSE, version=1, state=State.REFUSED, given_by=GivenBy.SELF
        )
    )


_ENDING = pytest.mark.parametrize("end", [_withdraw, _refuse])


@_ENDING
@pytest.mark.parametrize("method", ["add", "chain"])
@pytest.mark.parametrize(
    "failure", [VaultUnavailable("decisions_check", is_of_a_row=True), ZeroDivisionError()]
)
def test_a_decision_that_the_database_refuses_stops_no_withdrawal(
    clinic: Clinic,
    consent: Consent,
    end: Callable[[Consent, UUID], object],
    method: str,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    If the database refuses a row or an unexpected error occurs, a withdrawal still ends the
    permissions.
    """
    agent, subject = clinic.enrol(), _person(clinic)
    consent.accept(_grant(subject, agent))

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise failure

    monkeypatch.setattr(MemoryDecisions, method, fail)
    with pytest.raises(EndedUnrecorded):
        end(consent, subject)

    assert clinic.telemetry.handles_of(agent) == set()
    assert clinic.unfinished() == []


@_ENDING
def test_a_vault_that_is_away_ends_nothing_and_says_so(
    clinic: Clinic,
    consent: Consent,
    end: Callable[[Consent, UUID], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the vault is unreachable, a withdrawal ends nothing and says so, to be repeated."""
    agent, subject = clinic.enrol(), _person(clinic)
    consent.accept(_grant(subject, agent))
    before = clinic.telemetry.handles_of(agent)

    def fail(*_: object) -> None:
        raise VaultUnavailable("no connection")

    monkeypatch.setattr(MemoryDecisions, "add", fail)
    with pytest.raises(VaultUnavailable):
        end(consent, subject)

    assert clinic.telemetry.handles_of(agent) == before


@_ENDING
def test_a_withdrawal_of_damaged_decisions_ends_all_the_same(
    clinic: Clinic, consent: Consent, end: Callable[[Consent, UUID], object]
) -> None:
    """
    A withdrawal with damaged decisions ends the permissions, and says that it is not
    recorded.
    """
    agent, subject = clinic.enrol(), _person(clinic)
    consent.accept(_grant(subject, agent))
    clinic.vault.tables.decisions[0].signature = b""

    with pytest.raises(EndedUnrecorded):
        end(consent, subject)

    assert clinic.telemetry.handles_of(agent) == set()


def test_nothing_is_decided_while_restricted_but_a_withdrawal(
    clinic: Clinic, consent: Consent
) -> None:
    """During a restriction only a withdrawal is recorded, and the restriction stays in force."""
    agent, subject = clinic.enrol(), _person(clinic)
    consent.accept(_grant(subject, agent))
    with clinic.vault.transaction() as records:
        (accepted,) = records.decisions.chain(subject, PURPOSE)
        restricted = msgspec.structs.replace(
            accepted,
            decision=UUID(int=7, version=4),
            state=State.RESTRICTED,
            supersedes=accepted.decision,
        )
        records.decisions.add(restricted)
    refusal = Refusal(subject=subject, purpose=PURPOSE, version=1, state=State.REFUSED)

    with pytest.raises(Conflict):
        consent.accept(_grant(subject, agent))
    with pytest.raises(Conflict):
        consent.record(refusal)
    consent.withdraw(subject, PURPOSE)

    assert _states(clinic, subject)[1:] == [State.RESTRICTED, State.WITHDRAWN, State.RESTRICTED]


def test_a_decision_at_a_faulty_gateway_stands_and_says_so(
    clinic: Clinic, consent: Consent
) -> None:
    """A decision at a faulty gateway is recorded, and in force at all other gateways."""
    agents, subject = [clinic.enrol(), clinic.enrol()], _person(clinic)
    for agent in agents:
        consent.accept(_grant(subject, agent))
        clinic.wait(seconds=1)
    clinic.telemetry.refused = {agents[0]: row_refused()}

    with pytest.raises(NotInForce):
        consent.withdraw(subject, PURPOSE)

    assert _states(clinic, subject)[-1] is State.WITHDRAWN
    assert len(clinic.telemetry.handles_of(agents[0])) == 1
    assert clinic.telemetry.handles_of(agents[1]) == set()
    clinic.telemetry.refused = {}
    clinic.wait(minutes=5)
    assert clinic.unfinished() == [agents[0]]
    clinic.reconciler.attempt(agents)
    assert clinic.telemetry.handles_of(agents[0]) == set()
