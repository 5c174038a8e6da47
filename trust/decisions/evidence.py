"""
Evidence: how a yes was put on record. Facts that were not stated are never filled in.

Pure. The controller must be able to show that the person consented (GDPR art. 7(1)). Consent takes
a clear affirmative act (recital 32): a box that was ticked beforehand is no consent, so no method
stands for it. A purpose with another legal basis, such as care, needs no consent. Its evidence
shows that the person was informed (art. 13), with which text and when.
"""

import datetime as dt
import enum
import hashlib
from collections.abc import Mapping
from typing import Final, Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trust.decisions.decisions import Attested, Capture, Decision, State
from trust.domain import canonical
from trust.domain.durations import whole_ms
from trust.domain.purposes import Purpose
from trust.domain.reidentify import Known
from trust.errors import NotFound, Refused

_TESTIMONY_KIND: Final = "testimony"
_NOTHING: Final = hashlib.sha256(b"").hexdigest()


class Method(enum.StrEnum):
    """The way in which a yes, or the informing of a person, was captured."""

    CHECKBOX = "checkbox"
    """The person ticked a box that was empty before."""
    SIGNATURE = "signature"
    SCAN = "scan"
    """A scan of a signed paper; its digest is kept."""
    VERBAL = "verbal-witnessed"
    """The person said yes aloud, before an officer who signs for it."""
    HANDED_OVER = "handed-over"
    """Information on paper that was handed to the person."""
    READ_OUT = "read-out"
    """Information that was read to the person."""
    POSTED = "posted"
    """Information that was sent to the person by post."""


INFORMATION: Final = frozenset({Method.HANDED_OVER, Method.READ_OUT, Method.POSTED})
"""Methods that show that a person was informed, and not that they agreed."""
CONSENT: Final = frozenset(Method) - INFORMATION
NOT_STATED: Final = Capture("not-stated")
"""The capture of decisions that need no evidence or have none."""


class Proof(enum.StrEnum):
    """What a decision proves about how it was given."""

    STATED = "stated"
    UNPROVEN = "unproven"
    """A yes without the text that was shown, which earlier releases recorded by default."""
    NOT_NEEDED = "not needed"
    """The decision is no yes, and other decisions need no evidence."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's statements about how a yes was given; None where one is missing."""

    method: Method | None = None
    text_sha256: str | None = None
    """SHA-256 of the text, exactly as it was shown to the person."""
    locale: str | None = None
    given_at: dt.datetime | Literal["now"] | None = None
    scan_sha256: str | None = None
    """SHA-256 of the scan of the signed paper."""

    def at(self, now: dt.datetime) -> "Said":
        """Return these statements with the word `now` replaced by the time *now*."""
        if self.given_at is None:
            return self
        given_at = now if self.given_at == "now" else whole_ms(self.given_at)
        return msgspec.structs.replace(self, given_at=given_at)


class NotSaid(Refused):
    """A statement that a yes needs is missing."""

    def __init__(self, options: list[str]) -> None:
        super().__init__(
            f"nothing is filled in that was not said: give {', '.join(options)}, as it was when"
            " the person agreed, or was informed"
        )


class Vouching(msgspec.Struct, frozen=True):
    """An officer who vouches for a fact, and the private key that only they have."""

    officer: UUID
    key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return "Vouching(…)"


class Vouched(enum.StrEnum):
    """The fact that an officer vouches for."""

    WITNESSED = "witnessed"
    """The person said yes in the officer's presence."""
    OF_AGE = "of_age"
    """The officer saw a proof that the person is of age."""


class Testimony(msgspec.Struct, frozen=True):
    """The document that an officer signs; each verification rebuilds it from the decision."""

    vouched: Vouched
    officer: UUID
    subject: UUID
    purpose: str
    version: int
    given_at: dt.datetime
    text_sha256: str | None


def check(
    said: Said, purpose: Purpose, *, since: dt.datetime, at: dt.datetime, prefix: str = "--"
) -> Capture:
    """
    Return how a yes was captured, once the statements in *said* are complete and possible.

    Args:
        said: The statements of the caller.

        purpose: The purpose of the decision; its legal basis decides which evidence is needed.

        since: When that version of the purpose was loaded.

        at: The current time.

        prefix: The prefix of the options that an error names.

    Raises:
        Refused: A statement is missing or impossible; the error names its option.
    """
    if absent := missing(said, prefix=prefix):
        raise NotSaid(absent)
    _check_time(said, since=since, at=at, prefix=prefix)
    if purpose.needs_consent and said.method in INFORMATION:
        raise Refused(
            f"{purpose.reference} rests on consent, and {said.method} shows only that a person was"
            f" informed: {prefix}captured-by is one of {_words(CONSENT)}"
        )
    if said.text_sha256 == _NOTHING:
        raise Refused(f"{prefix}text is empty: an empty text informs no one")
    if prefix == "--":
        # A guardian reads another text than a child; the policy names the text for the person.
        _check_text(said, purpose)
    if said.method is Method.SCAN and said.scan_sha256 is None:
        raise Refused(f"a scan is kept by its digest: give {prefix}scan FILE")
    if said.method is not Method.SCAN and said.scan_sha256 is not None:
        raise Refused(f"{prefix}scan belongs to {prefix}captured-by scan")
    return capture_of(said)


def missing(said: Said, *, prefix: str = "--") -> list[str]:
    """Return the options of the statements that are missing in *said*."""
    options = {
        "captured-by": said.method,
        "text FILE (or its SHA-256)": said.text_sha256,
        "locale": said.locale,
        "given-at": said.given_at,
    }
    return [f"{prefix}{option}" for option, value in options.items() if value is None]


def _check_text(said: Said, purpose: Purpose) -> None:
    texts = purpose.texts_by_locale
    if not texts:
        return
    if said.locale not in texts:
        raise Refused(
            f"{purpose.reference} has no text for that --locale; it has:"
            f" {', '.join(sorted(texts))}"
        )
    if said.text_sha256 != texts[said.locale]:
        raise Refused(
            f"that --text is not the one that {purpose.reference} names for that --locale: show"
            " the text of the policy, or load a version that names this one"
        )


def _check_time(said: Said, *, since: dt.datetime, at: dt.datetime, prefix: str) -> None:
    if not isinstance(said.given_at, dt.datetime) or said.given_at == at:
        # "Now" needs no check: another machine's clock cannot move it to the future or the past.
        return
    if said.given_at > at:
        raise Refused(f"{prefix}given-at is in the future: a decision is recorded once it is made")
    if said.given_at < since:
        raise Refused(
            f"{prefix}given-at is before that version of the purpose was loaded, so it cannot have"
            " been what the person was shown: record the version that they saw, or ask again"
        )


def check_order(given_at: dt.datetime, chain: list[Decision], *, at: dt.datetime) -> None:
    """
    Check that *given_at* equals *at*, or is not earlier than any decision of *chain*.

    A yes of last week that is found on paper today does not override the no of yesterday.

    Raises:
        Refused: The decision was given before another decision of the chain.
    """
    # A decision of this moment counts as the latest, even if an earlier clock was ahead.
    if given_at != at and any(given_at < decision.decided_at for decision in chain):
        raise Refused(
            "--given-at is before the last decision on record of that subject for that purpose,"
            " which stands: see `vitalveil trust decision list`, and ask again"
        )


def capture_of(said: Said) -> Capture:
    """Return the statements in *said* in the form that a decision keeps."""
    return Capture(
        said.method or NOT_STATED.method,
        said.text_sha256,
        said.locale,
        scan_sha256=said.scan_sha256 or msgspec.UNSET,
    )


def _words(methods: frozenset[Method]) -> str:
    return ", ".join(sorted(methods))


def vouch(
    vouched: Vouched, by: Vouching, decision: Decision, officers: Mapping[UUID, Known]
) -> Attested:
    """
    Return the signature of the officer *by*, who vouches for a fact about *decision*.

    Raises:
        Refused: The officer is unknown or no longer an officer, or the key is not theirs.
    """
    known = officers.get(by.officer)
    if known is None:
        raise NotFound("officer", "See `vitalveil trust officer list`.")
    if known.ended_at is not None:
        raise Refused("that officer is one no more, and vouches for nothing")
    if known.officer.key != by.key.public_key():
        raise Refused("the key is not that officer's")
    document = _testimony(vouched, by.officer, decision)
    signature = by.key.sign(canonical.to_sign(_TESTIMONY_KIND, document))
    return Attested(by.officer, signature.hex())


def _testimony(vouched: Vouched, officer: UUID, decision: Decision) -> bytes:
    return canonical.encode(
        Testimony(
            vouched,
            officer,
            decision.subject,
            decision.purpose,
            decision.version,
            decision.decided_at,
            decision.capture.text_sha256,
        )
    )


def holds(decision: Decision, officers: Mapping[UUID, Known]) -> bool:
    """Tell whether the signature of every officer who vouched in *decision* verifies."""
    vouchers = {Vouched.WITNESSED: decision.capture.witness, Vouched.OF_AGE: decision.of_age}
    return all(
        isinstance(attested, msgspec.UnsetType)
        or _is_signed(vouched, attested, decision, officers)
        for vouched, attested in vouchers.items()
    )


def _is_signed(
    vouched: Vouched, attested: Attested, decision: Decision, officers: Mapping[UUID, Known]
) -> bool:
    known = officers.get(attested.officer)
    if known is None:
        return False
    document = _testimony(vouched, attested.officer, decision)
    try:
        known.officer.key.verify(
            bytes.fromhex(attested.signature), canonical.to_sign(_TESTIMONY_KIND, document)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def proof(decision: Decision) -> Proof:
    """Return what *decision* proves about how it was given."""
    if decision.state is not State.ACCEPTED:
        return Proof.NOT_NEEDED
    capture = decision.capture
    is_stated = capture.method in set(Method) and None not in (capture.text_sha256, capture.locale)
    return Proof.STATED if is_stated else Proof.UNPROVEN
