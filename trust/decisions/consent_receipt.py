"""
Consent receipts: a person's own copy of their decisions, which can be checked without trust.

A receipt holds the decisions of one person, each as it was signed, and the policies that they
name. A signed statement covers all of them: which decisions there were, in which order, what
became of each, when the receipt was issued and until when it is valid. `check` needs only the file
and trust's public key.
"""

import datetime as dt
import enum
import hashlib
from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import UNSET, UnsetType

from trust.decisions import decisions
from trust.decisions.decisions import Decision, State
from trust.decisions.standing import Standing, standings
from trust.domain import canonical
from trust.domain.purposes import Purpose
from trust.errors import Refused, Tampered

T = TypeVar("T")

FORMAT: Final = "vitalveil-receipt/2"
_FORMATS: Final = (FORMAT, "vitalveil-receipt/1")
"""The forms that are read. The first form does not say what became of each decision."""
KIND: Final = "receipt"
PURPOSE_KIND: Final = "purpose"
MAX_BYTES: Final = 16 << 20


class Fault(enum.StrEnum):
    """The reason for which a receipt is refused."""

    MALFORMED = "malformed"
    """The file is cut off, or is no receipt."""
    WRONG_KEY = "wrong_key"
    """The receipt was signed with another key than the given one."""
    BAD_SIGNATURE = "bad_signature"
    """The receipt was changed after it was signed."""
    OTHER_SUBJECT = "other_subject"
    """The receipt, or a decision in it, belongs to another person."""
    REPLAYED = "replayed"
    """The receipt holds the same decision twice."""
    REORDERED = "reordered"
    """All decisions are present, but not in the order in which they were taken."""
    INCOMPLETE = "incomplete"
    """A decision is missing, or one is present that the statement does not name."""
    BROKEN_CHAIN = "broken_chain"
    """A decision does not supersede the one before it."""
    EXPIRED = "expired"
    """The receipt is too old to tell what is in force: the person needs a new one."""
    NOT_YET = "not_yet"
    """The receipt was issued after the time of the check."""
    ROLLED_BACK = "rolled_back"
    """A receipt that is later, or has more decisions, was seen before."""


class ReceiptRefused(Refused):
    """A receipt does not verify; its fault says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"the receipt is refused: {fault.replace('_', ' ')}")
        self.fault = fault


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trust's statement about the decisions of one person."""

    receipt: UUID
    subject: UUID
    issued_at: dt.datetime
    expires_at: dt.datetime
    decisions: list[str]
    """SHA-256 of each decision, purpose by purpose, in the order in which they were taken."""
    purposes: list[str]
    """SHA-256 of each policy that the decisions name."""
    standings: list[Standing] | UnsetType = UNSET
    """What became of each decision by the time of issue; unset in the first form."""


class SignedDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A canonical document and its signature."""

    document: str
    signature: str
    """The signature, in hexadecimal."""


class ConsentReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of the file of a receipt."""

    format: str
    key_id: str
    statement: SignedDocument
    decisions: list[SignedDocument]
    purposes: list[SignedDocument]


class Checked(msgspec.Struct, frozen=True):
    """The contents of a receipt that was verified."""

    statement: Statement
    decisions: list[Decision]
    purposes: list[Purpose]

    def standings(self, *, at: dt.datetime) -> dict[UUID, Standing]:
        """Return the standing of each decision *at* a time, keyed by the decision."""
        return {
            decision.decision: standing
            for chain in _chains(self.decisions).values()
            for decision, standing in zip(chain, standings(chain, at=at), strict=True)
        }

    def states(self, *, at: dt.datetime) -> dict[str, State]:
        """Return the state of each purpose *at* a time, keyed by the name of the purpose."""
        chains = _chains(self.decisions)
        return {name: decisions.state(chain, at=at) for name, chain in chains.items()}


def _chains(taken: Sequence[Decision]) -> dict[str, list[Decision]]:
    """Return *taken* by the name of their purpose, each list in its order."""
    chains: dict[str, list[Decision]] = {}
    for decision in taken:
        chains.setdefault(decision.purpose, []).append(decision)
    return chains


def make(
    statement: Statement,
    taken: Sequence[tuple[bytes, bytes]],
    policies: Sequence[tuple[bytes, bytes]],
    *,
    key_id: str,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """
    Return the file of a receipt.

    Args:
        statement: The statement to sign; its digests and standings are filled in here.

        taken: Document and signature of each decision, in their order.

        policies: Document and signature of each policy that the decisions name.

        key_id: The short name of the signing key.

        sign: Returns the signature of the bytes that it is given.
    """
    read = [decisions.decode(document) for document, _ in taken]
    found = Checked(statement, read, []).standings(at=statement.issued_at)
    whole = msgspec.structs.replace(
        statement,
        standings=[found[decision.decision] for decision in read],
        decisions=[canonical.digest(document).hex() for document, _ in taken],
        purposes=[canonical.digest(document).hex() for document, _ in policies],
    )
    document = canonical.encode(whole)
    receipt = ConsentReceipt(
        format=FORMAT,
        key_id=key_id,
        statement=_signed(document, sign(canonical.to_sign(KIND, document))),
        decisions=[_signed(*pair) for pair in taken],
        purposes=[_signed(*pair) for pair in policies],
    )
    return msgspec.json.format(msgspec.json.encode(receipt), indent=2) + b"\n"


def check(
    data: bytes,
    key: Ed25519PublicKey,
    *,
    at: dt.datetime,
    subject: UUID | None = None,
    seen: bytes | None = None,
) -> Checked:
    """
    Return the contents of the receipt in *data*, if the receipt is whole and signed with *key*.

    Args:
        data: The bytes of the file.

        key: The public key of trust, which every agent pins.

        at: The time of the check.

        subject: The expected subject of the receipt, if known.

        seen: The file of an earlier receipt of the same person, if there is one.

    Raises:
        ReceiptRefused: The receipt does not verify; the fault says why.
    """
    receipt, found = _open(data, key)
    statement = found.statement
    if subject is not None and statement.subject != subject:
        raise ReceiptRefused(Fault.OTHER_SUBJECT)
    if any(decision.subject != statement.subject for decision in found.decisions):
        raise ReceiptRefused(Fault.OTHER_SUBJECT)
    _check_contents(statement.decisions, receipt.decisions)
    _check_contents(statement.purposes, receipt.purposes)
    _check_chains(found.decisions)
    if at < statement.issued_at:
        raise ReceiptRefused(Fault.NOT_YET)
    if at >= statement.expires_at:
        raise ReceiptRefused(Fault.EXPIRED)
    if seen is not None:
        _check_rollback(statement, _open(seen, key)[1].statement)
    return found


def _open(data: bytes, key: Ed25519PublicKey) -> tuple[ConsentReceipt, Checked]:
    receipt = _decode(data, ConsentReceipt)
    if receipt.format not in _FORMATS:
        raise ReceiptRefused(Fault.MALFORMED)
    if receipt.key_id != key_id_of(key):
        raise ReceiptRefused(Fault.WRONG_KEY)
    return receipt, Checked(
        _verified(receipt.statement, KIND, Statement, key),
        [_verified(signed, decisions.KIND, Decision, key) for signed in receipt.decisions],
        [_verified(signed, PURPOSE_KIND, Purpose, key) for signed in receipt.purposes],
    )


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the short name of the signing key whose public half is *key*."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _signed(document: bytes, signature: bytes) -> SignedDocument:
    return SignedDocument(document.decode(), signature.hex())


def _decode(data: bytes, kind: type[T]) -> T:
    if len(data) > MAX_BYTES:
        raise ReceiptRefused(Fault.MALFORMED)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ReceiptRefused(Fault.MALFORMED) from None


def _verified(signed: SignedDocument, kind: str, of: type[T], key: Ed25519PublicKey) -> T:
    try:
        # Only trust's own spelling counts: another one of the same bytes was never handed out.
        signature = bytes.fromhex(signed.signature)
        if signature.hex() != signed.signature:
            raise ReceiptRefused(Fault.BAD_SIGNATURE)
        key.verify(signature, canonical.to_sign(kind, signed.document.encode()))
    except (ValueError, InvalidSignature):
        raise ReceiptRefused(Fault.BAD_SIGNATURE) from None
    try:
        return canonical.decode(signed.document.encode(), of, what="a receipt")
    except Tampered:
        raise ReceiptRefused(Fault.MALFORMED) from None


def _check_contents(expected: list[str], there: list[SignedDocument]) -> None:
    found = [canonical.digest(signed.document.encode()).hex() for signed in there]
    if found == expected:
        return
    if len(set(found)) < len(found):
        raise ReceiptRefused(Fault.REPLAYED)
    if set(found) == set(expected):
        raise ReceiptRefused(Fault.REORDERED)
    raise ReceiptRefused(Fault.INCOMPLETE)


def _check_chains(taken: Sequence[Decision]) -> None:
    latest: dict[str, UUID] = {}
    for decision in taken:
        if decision.supersedes != latest.get(decision.purpose):
            raise ReceiptRefused(Fault.BROKEN_CHAIN)
        latest[decision.purpose] = decision.decision


def _check_rollback(statement: Statement, before: Statement) -> None:
    if before.subject != statement.subject:
        raise ReceiptRefused(Fault.OTHER_SUBJECT)
    if statement.issued_at < before.issued_at or not set(before.decisions) <= set(
        statement.decisions
    ):
        raise ReceiptRefused(Fault.ROLLED_BACK)
