"""Evidence of consent: complete, plausible, and never assumed."""

import datetime as dt
import hashlib
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trust.decisions.effective_grants import PURPOSE
from tests.unit.trust.decisions.test_decisions import decide
from trust.decisions import decisions, evidence
from trust.decisions.decisions import Attested, Capture, Decision, GivenBy, State
from trust.decisions.evidence import Method, Proof, Said, Vouched, Vouching
from trust.domain.purposes import Article6, Article9
from trust.domain.reidentify import Known, Officer, OfficerRole
from trust.errors import Refused

AT = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
SINCE = AT - dt.timedelta(days=30)
TEXT = "ab" * 32
YES = Said(method=Method.CHECKBOX, text_sha256=TEXT, locale="fr-FR", given_at=AT)
CONSENT = msgspec.structs.replace(PURPOSE, art6=Article6.CONSENT, art9=Article9.EXPLICIT_CONSENT)
CARE = msgspec.structs.replace(PURPOSE, art6=Article6.PUBLIC_TASK, art9=Article9.CARE)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = UUID(int=7)
OFFICERS = {
    WITNESS: Known(
        Officer(WITNESS, OfficerRole.OPERATOR, KEY.public_key().public_bytes_raw().hex()), None
    )
}


def check(said: Said, purpose: Any = CONSENT) -> Capture:
    """Check the evidence, with the present day."""
    return evidence.check(said, purpose, since=SINCE, at=AT)


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("method", "--captured-by"),
        ("text_sha256", "--text"),
        ("locale", "--locale"),
        ("given_at", "--given-at"),
    ],
)
def test_what_was_not_said_is_named(field: str, option: str) -> None:
    """A consent without one of its parts is refused with the name of the missing option."""
    with pytest.raises(Refused, match=option) as refusal:
        check(msgspec.structs.replace(YES, **{field: None}))
    assert str(refusal.value).count("--") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"given_at": AT + dt.timedelta(seconds=1)}, "future", id="to come"),
        pytest.param({"given_at": SINCE - dt.timedelta(seconds=1)}, "loaded", id="too early"),
        pytest.param({"text_sha256": hashlib.sha256(b"").hexdigest()}, "empty", id="no text"),
        pytest.param({"method": Method.SCAN}, "--scan", id="a scan of nothing"),
        pytest.param({"scan_sha256": TEXT}, "captured-by scan", id="a scan of a checkbox"),
        pytest.param({"method": Method.POSTED}, "informed", id="a letter is no consent"),
        pytest.param({"method": Method.HANDED_OVER}, "informed", id="nor is a leaflet"),
        pytest.param({"method": Method.READ_OUT}, "informed", id="nor what was read out"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    """An impossible time, text or method is refused."""
    with pytest.raises(Refused, match=message):
        check(msgspec.structs.replace(YES, **changes))


def test_what_is_said_now_needs_no_clock_of_others() -> None:
    """A consent of this moment is accepted, even if the database's clock is ahead."""
    later = AT + dt.timedelta(seconds=3)
    said = msgspec.structs.replace(YES, given_at="now").at(AT)
    assert evidence.check(said, CONSENT, since=later, at=AT) == Capture("checkbox", TEXT, "fr-FR")


@pytest.mark.parametrize("method", sorted(evidence.INFORMATION))
def test_where_consent_is_no_basis_information_is_shown(method: Method) -> None:
    """For a purpose of care the evidence shows the information: its text and time."""
    assert check(msgspec.structs.replace(YES, method=method), CARE).method == method
    with pytest.raises(Refused, match="--text"):
        check(msgspec.structs.replace(YES, method=method, text_sha256=None), CARE)


def test_explicit_consent_of_art_9_is_consent_too() -> None:
    """A contract (art. 6.1.b) with explicit consent (art. 9.2.a) counts as consent."""
    contract = msgspec.structs.replace(
        CARE, art6=Article6.CONTRACT, art9=Article9.EXPLICIT_CONSENT
    )
    with pytest.raises(Refused, match="rests on consent"):
        check(msgspec.structs.replace(YES, method=Method.POSTED), contract)


def test_a_box_that_was_ticked_before_has_no_word() -> None:
    """
    The methods are a closed list, without a box that was ticked beforehand and without
    silence.
    """
    assert {*Method} == {
        "checkbox", "signature", "scan", "verbal-witnessed", "handed-over", "read-out", "posted",
    }  # fmt: skip


def test_a_yes_of_before_is_no_answer_to_a_no() -> None:
    """A consent from before the last decision is refused; one of this moment never is."""
    chain = [decide(1), decide(2, state=State.WITHDRAWN)]
    before = chain[-1].decided_at - dt.timedelta(days=1)
    with pytest.raises(Refused, match="before the last decision"):
        evidence.check_order(before, chain, at=AT)
    evidence.check_order(chain[-1].decided_at, chain, at=AT)
    evidence.check_order(before, chain, at=before)


def vouched_for() -> Decision:
    """Return a decision with a witness, and an officer who confirms the age."""
    decision = msgspec.structs.replace(decide(1), capture=Capture("verbal-witnessed", TEXT, "fr"))
    by = Vouching(WITNESS, KEY)
    witness = evidence.vouch(Vouched.WITNESSED, by, decision, OFFICERS)
    of_age = evidence.vouch(Vouched.OF_AGE, by, decision, OFFICERS)
    capture = msgspec.structs.replace(decision.capture, witness=witness)
    return msgspec.structs.replace(decision, capture=capture, of_age=of_age)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"subject": UUID(int=2)}, id="of another person"),
        pytest.param({"purpose": "research"}, id="for another purpose"),
        pytest.param({"version": 2}, id="of another version"),
        pytest.param({"decided_at": AT}, id="at another time"),
        pytest.param({"of_age": Attested(WITNESS, "00")}, id="no signature"),
        pytest.param(
            {"capture": Capture("verbal-witnessed", TEXT, "fr", witness=Attested(WITNESS, "00"))},
            id="no signature of the witness",
        ),
        pytest.param({"of_age": vouched_for().capture.witness}, id="of something else"),
    ],
)  # fmt: skip
def test_who_vouches_signs_for_this_and_nothing_else(changes: dict[str, Any]) -> None:
    """
    An officer's signature holds for exactly the decision that they confirmed, also after they
    left.
    """
    decision = vouched_for()
    left = {WITNESS: msgspec.structs.replace(OFFICERS[WITNESS], ended_at=AT)}
    assert evidence.holds(decision, OFFICERS)
    assert evidence.holds(decision, left)
    assert evidence.holds(decide(1), {})
    assert not evidence.holds(decision, {})
    assert not evidence.holds(msgspec.structs.replace(decision, **changes), OFFICERS)


def test_only_an_officer_with_their_own_key_vouches() -> None:
    """Only a present officer with their own key can confirm."""
    other = Ed25519PrivateKey.generate()
    ended = {WITNESS: msgspec.structs.replace(OFFICERS[WITNESS], ended_at=AT)}
    for by, officers in (
        (Vouching(UUID(int=8), KEY), OFFICERS),
        (Vouching(WITNESS, other), OFFICERS),
        (Vouching(WITNESS, KEY), ended),
    ):
        with pytest.raises(Refused):
            evidence.vouch(Vouched.OF_AGE, by, decide(1), officers)


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        pytest.param(Capture("checkbox", TEXT, "fr"), Proof.STATED, id="all of it"),
        pytest.param(Capture("signature"), Proof.UNPROVEN, id="the default of before"),
        pytest.param(Capture("signature", TEXT), Proof.UNPROVEN, id="no language"),
        pytest.param(Capture("implied", TEXT, "fr"), Proof.UNPROVEN, id="no such way"),
    ],
)
def test_an_old_default_is_unproven(capture: Capture, expected: Proof) -> None:
    """An older consent without its text is unproven; an older refusal needs no proof."""
    decision = msgspec.structs.replace(decide(1), capture=capture)
    assert evidence.proof(decision) is expected
    withdrawn = msgspec.structs.replace(decision, state=State.WITHDRAWN)
    assert evidence.proof(withdrawn) is Proof.NOT_NEEDED


def test_a_decision_of_before_is_read_as_it_was_written() -> None:
    """An older document is decoded and encoded again unchanged, without the new fields."""
    document = decisions.encode(decide(1))
    assert b"scan" not in document
    assert b"witness" not in document
    assert b"of_age" not in document
    assert decisions.encode(decisions.decode(document)) == document
    assert decisions.decode(decisions.encode(vouched_for())) == vouched_for()


@given(st.sampled_from(list(State)))
def test_without_evidence_nothing_is_claimed(state: State) -> None:
    """A decision by a third party, such as a restriction, carries no evidence of the consent."""
    found = decisions.without_evidence(msgspec.structs.replace(vouched_for(), state=state))
    assert found.given_by is GivenBy.NOT_STATED
    assert found.capture == evidence.NOT_STATED
    assert evidence.holds(found, {})
