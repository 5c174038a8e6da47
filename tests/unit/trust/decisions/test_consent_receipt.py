"""Consent receipts: each kind of change is refused with its own reason."""

import datetime as dt
import functools
import uuid
from collections.abc import Callable
from importlib import resources
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from trust.decisions import consent_receipt, decisions
from trust.decisions.consent_receipt import ConsentReceipt, Fault, ReceiptRefused, Statement
from trust.decisions.decisions import Capture, Decision, GivenBy, State
from trust.decisions.standing import Standing
from trust.domain import canonical, policy_file

POLICY = resources.files("trust") / "policies" / "demo.yaml"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SUBJECT = UUID(int=1)


def decide(number: int, *, subject: UUID = SUBJECT, supersedes: int | None = None) -> Decision:
    """Return a decision."""
    return Decision(
        decision=UUID(int=number),
        subject=subject,
        purpose="home-monitoring",
        version=1,
        state=State.ACCEPTED if number % 2 else State.WITHDRAWN,
        quantities=["heart_rate"],
        recipients=[],
        decided_at=T0,
        valid_from=T0,
        given_by=GivenBy.SELF,
        capture=Capture("signature"),
        supersedes=None if supersedes is None else UUID(int=supersedes),
    )


CHAIN = [decide(1), decide(2, supersedes=1), decide(3, supersedes=2)]


def signed(kind: str, value: msgspec.Struct, key: Ed25519PrivateKey = KEY) -> tuple[bytes, bytes]:
    """Return document and signature."""
    document = canonical.encode(value)
    return document, key.sign(canonical.to_sign(kind, document))


def make(
    chain: list[Decision],
    *,
    key: Ed25519PrivateKey = KEY,
    issued_at: dt.datetime = T0,
    subject: UUID = SUBJECT,
) -> bytes:
    """Return a receipt of *chain*."""
    statement = Statement(
        receipt=uuid.UUID(int=9),
        subject=subject,
        issued_at=issued_at,
        expires_at=issued_at + 90 * DAY,
        decisions=[],
        purposes=[],
    )
    return consent_receipt.make(
        statement,
        [signed(decisions.KIND, d, key) for d in chain],
        [signed(consent_receipt.PURPOSE_KIND, policy_file.parse(POLICY.read_text()), key)],
        key_id=consent_receipt.key_id_of(key.public_key()),
        sign=key.sign,
    )


GOOD = make(CHAIN)


def check(data: bytes, **more: Any) -> consent_receipt.Checked:
    """Check a receipt a day after it was issued."""
    return consent_receipt.check(data, KEY.public_key(), **{"at": T0 + DAY, **more})


def changed(change: Callable[[ConsentReceipt], ConsentReceipt]) -> bytes:
    """Return the valid receipt changed by *change*, made without the key."""
    return msgspec.json.encode(change(msgspec.json.decode(GOOD, type=ConsentReceipt)))


def with_decisions(order: Callable[[list[Any]], list[Any]]) -> bytes:
    """Return the valid receipt with other decisions."""
    return changed(lambda r: msgspec.structs.replace(r, decisions=order(list(r.decisions))))


def shouted(one: consent_receipt.SignedDocument) -> consent_receipt.SignedDocument:
    """Return *one* with its signature in capital letters: another spelling of the same bytes."""
    return consent_receipt.SignedDocument(one.document, one.signature.upper())


def foreign(chain: list[Decision]) -> list[consent_receipt.SignedDocument]:
    """Return decisions that trust signed for another person or time."""
    found = msgspec.json.decode(make(chain), type=ConsentReceipt)
    return found.decisions


def test_a_receipt_says_what_was_decided() -> None:
    """A valid receipt verifies, and has the state of each purpose."""
    found = check(GOOD, subject=SUBJECT)
    assert found.decisions == CHAIN
    assert found.states(at=T0) == {"home-monitoring": State.ACCEPTED}
    assert check(make(CHAIN[:2])).states(at=T0) == {"home-monitoring": State.WITHDRAWN}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(with_decisions(lambda d: [d[1], d[0], d[2]]), Fault.REORDERED, id="order"),
        pytest.param(with_decisions(lambda d: d[:2]), Fault.INCOMPLETE, id="last left out"),
        pytest.param(with_decisions(lambda d: d[1:]), Fault.INCOMPLETE, id="first left out"),
        pytest.param(with_decisions(lambda d: [*d, d[0]]), Fault.REPLAYED, id="replay"),
        pytest.param(
            with_decisions(lambda d: [*d, *foreign([decide(8)])]), Fault.INCOMPLETE, id="added"
        ),
        pytest.param(
            with_decisions(lambda d: [*d[:2], *foreign([decide(3, subject=UUID(int=2))])]),
            Fault.OTHER_SUBJECT, id="another subject's decision",
        ),
        pytest.param(
            changed(lambda r: msgspec.structs.replace(r, purposes=[])), Fault.INCOMPLETE,
            id="policy left out",
        ),
        pytest.param(
            changed(lambda r: msgspec.structs.replace(r, decisions=[r.statement])),
            Fault.BAD_SIGNATURE, id="one kind shown as another",
        ),
        pytest.param(
            changed(lambda r: msgspec.structs.replace(r, statement=shouted(r.statement))),
            Fault.BAD_SIGNATURE, id="another spelling",
        ),
        pytest.param(make([CHAIN[0], CHAIN[2]]), Fault.BROKEN_CHAIN, id="trust left one out"),
        pytest.param(
            make(CHAIN, key=Ed25519PrivateKey.generate()), Fault.WRONG_KEY, id="wrong key"
        ),
        pytest.param(GOOD[: len(GOOD) // 2], Fault.MALFORMED, id="cut off"),
        pytest.param(b"", Fault.MALFORMED, id="empty"),
        pytest.param(b"[" * 100_000, Fault.MALFORMED, id="deep"),
    ],
)  # fmt: skip
def test_each_fault_has_its_reason(data: bytes, fault: Fault) -> None:
    """Each change of a receipt is refused with its own reason."""
    with pytest.raises(ReceiptRefused) as refused:
        check(data)
    assert refused.value.fault is fault


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        pytest.param({"at": T0 + 90 * DAY}, Fault.EXPIRED, id="expired"),
        pytest.param({"at": T0 - DAY}, Fault.NOT_YET, id="before it was issued"),
        pytest.param({"subject": UUID(int=2)}, Fault.OTHER_SUBJECT, id="another's"),
        pytest.param(
            {"seen": make(CHAIN, issued_at=T0 + DAY / 2)}, Fault.ROLLED_BACK, id="older"
        ),
        pytest.param(
            {"seen": make([*CHAIN, decide(4, supersedes=3)])}, Fault.ROLLED_BACK, id="shorter"
        ),
        pytest.param(
            {"seen": make([decide(5, subject=UUID(int=2))], subject=UUID(int=2))},
            Fault.OTHER_SUBJECT, id="seen was another's",
        ),
    ],
)  # fmt: skip
def test_a_sound_receipt_may_still_not_count(more: dict[str, Any], fault: Fault) -> None:
    """An outdated receipt, one of another person and one that was superseded are refused."""
    with pytest.raises(ReceiptRefused) as refused:
        check(GOOD, **more)
    assert refused.value.fault is fault


def test_an_earlier_receipt_is_extended() -> None:
    """A receipt that contains all decisions of an earlier one, and more, is accepted."""
    assert check(GOOD, seen=make(CHAIN[:2])).statement.receipt == UUID(int=9)
    assert check(GOOD, seen=GOOD) == good()


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    """A receipt with any flipped bit is refused, or its content is unchanged."""
    data = bytearray(GOOD)
    data[bit // 8] ^= 1 << bit % 8
    try:
        found = check(bytes(data))
    except ReceiptRefused as refused:
        fault = refused.fault
    else:
        # White space between values has no meaning.
        assert found == good()
        return
    assert fault in {Fault.MALFORMED, Fault.WRONG_KEY, Fault.BAD_SIGNATURE, Fault.INCOMPLETE}


@functools.cache
def good() -> consent_receipt.Checked:
    """Return the content of the valid receipt."""
    return check(GOOD)


@given(st.integers(0, len(GOOD) - 3))
def test_every_truncation_is_malformed(length: int) -> None:
    """A truncated receipt is refused as malformed."""
    with pytest.raises(ReceiptRefused) as refused:
        check(GOOD[:length])
    assert refused.value.fault is Fault.MALFORMED


@given(st.binary(max_size=200))
def test_check_raises_nothing_else(data: bytes) -> None:
    """No file raises any other error."""
    with pytest.raises(ReceiptRefused):
        check(data)


def test_a_receipt_says_what_became_of_each_decision() -> None:
    """Only the latest decision of a chain is in force, also in the signed statement."""
    found = good()
    told = [found.standings(at=T0 + DAY)[one.decision] for one in CHAIN]
    assert told == [Standing.SUPERSEDED, Standing.SUPERSEDED, Standing.IN_FORCE]
    assert found.statement.standings == told


def test_a_receipt_of_the_first_form_is_still_read() -> None:
    """A receipt of an earlier release verifies, and the standings are derived."""
    receipt = msgspec.json.decode(make(CHAIN), type=ConsentReceipt)
    statement = msgspec.json.decode(receipt.statement.document, type=Statement)
    earlier = msgspec.structs.replace(statement, standings=msgspec.UNSET)
    document, signature = signed(consent_receipt.KIND, earlier)
    first = msgspec.structs.replace(
        receipt,
        format="vitalveil-receipt/1",
        statement=consent_receipt.SignedDocument(document.decode(), signature.hex()),
    )
    found = check(msgspec.json.encode(first))
    assert b"standings" not in document
    assert found.standings(at=T0 + DAY)[CHAIN[0].decision] is Standing.SUPERSEDED


def test_a_receipt_of_an_unknown_form_is_refused() -> None:
    """A receipt of an unknown form is refused, because its words may have another meaning."""
    receipt = msgspec.json.decode(make(CHAIN), type=ConsentReceipt)
    later = msgspec.structs.replace(receipt, format="vitalveil-receipt/3")
    with pytest.raises(ReceiptRefused, match="malformed"):
        check(msgspec.json.encode(later))
