"""
Evidence: how a yes was put on record. What nobody said is not filled in.

Pure. GDPR art. 7(1): who processes must be able to show that the person consented; recital 32: a
clear affirmative act, so that a box which was ticked beforehand is no consent, and has no word
here. Where a purpose rests on something else, as care does, no consent is asked for: what is shown
then is that the person was informed (art. 13), with which text and when.
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
    """How it was captured."""

    CHECKBOX = "checkbox"
    """The person ticked it; it was empty before."""
    SIGNATURE = "signature"
    SCAN = "scan"
    """Of a signed paper, whose digest is kept."""
    VERBAL = "verbal-witnessed"
    """Said aloud, before a member of the staff who signs for it."""
    HANDED_OVER = "handed-over"
    """Information on paper, put into the person's hand."""
    READ_OUT = "read-out"
    """Information that was read to the person."""
    POSTED = "posted"
    """Information that was sent."""


INFORMATION: Final = frozenset({Method.HANDED_OVER, Method.READ_OUT, Method.POSTED})
"""What shows that somebody was informed, and not that they agreed."""
CONSENT: Final = frozenset(Method) - INFORMATION
NOT_STATED: Final = Capture("not-stated")
"""Of decisions that need no evidence, or had none."""


class Proof(enum.StrEnum):
    """What a decision shows of how it was given."""

    STATED = "stated"
    UNPROVEN = "unproven"
    """A yes without the text that was shown: so it was recorded by default, once."""
    NOT_NEEDED = "not needed"
    """It is no yes: saying no takes no evidence."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of how a yes was given; None is what was not said."""

    method: Method | None = None
    text_sha256: str | None = None
    """Of the text that was shown, as it was shown."""
    locale: str | None = None
    given_at: dt.datetime | Literal["now"] | None = None
    scan_sha256: str | None = None
    """Of the scanned paper."""

    def at(self, now: dt.datetime) -> "Said":
        """Return it with the time that `now` is."""
        if self.given_at is None:
            return self
        given_at = now if self.given_at == "now" else whole_ms(self.given_at)
        return msgspec.structs.replace(self, given_at=given_at)


class NotSaid(Refused):
    """Something that a yes needs was not said."""

    def __init__(self, options: list[str]) -> None:
        super().__init__(
            f"nothing is filled in that was not said: give {', '.join(options)}, as it was when"
            " the person agreed, or was informed"
        )


class Vouching(msgspec.Struct, frozen=True):
    """An officer who vouches for something, with the key that only they have."""

    officer: UUID
    key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return "Vouching(…)"


class Vouched(enum.StrEnum):
    """What an officer vouches for."""

    WITNESSED = "witnessed"
    """The yes was said in their presence."""
    OF_AGE = "of_age"
    """They saw a proof that the person is of age."""


class Testimony(msgspec.Struct, frozen=True):
    """What an officer signs; made again from the decision whenever it is verified."""

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
    Return how a yes was captured.

    Args:
        said: By the caller.

        purpose: What it is for: its basis decides what is to be shown.

        since: When that version of the purpose was loaded.

        at: Now.

        prefix: Of the options that are named in an error.

    Raises:
        Refused: Something is not said, or cannot be; the option is named.
    """
    if absent := missing(said, prefix=prefix):
        raise NotSaid(absent)
    _check_time(said, since=since, at=at, prefix=prefix)
    if purpose.needs_consent and said.method in INFORMATION:
        raise Refused(
            f"{purpose.reference} rests on consent, and {said.method} shows only that somebody was"
            f" informed: {prefix}captured-by is one of {_words(CONSENT)}"
        )
    if said.text_sha256 == _NOTHING:
        raise Refused(f"{prefix}text is empty: nobody is informed by an empty text")
    if prefix == "--":
        # A guardian is shown another text than a child; the policy names that of the person.
        _check_text(said, purpose)
    if said.method is Method.SCAN and said.scan_sha256 is None:
        raise Refused(f"a scan is kept by its digest: give {prefix}scan FILE")
    if said.method is not Method.SCAN and said.scan_sha256 is not None:
        raise Refused(f"{prefix}scan belongs to {prefix}captured-by scan")
    return capture_of(said)


def missing(said: Said, *, prefix: str = "--") -> list[str]:
    """Return the options that say what was not said."""
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
        # Now: no clock of another machine makes that the future, or the past.
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
    Return if *given_at* is *at* this moment, or not before a decision of *chain*.

    A yes of last week, found on paper today, is no answer to the no of yesterday.

    Raises:
        Refused: It is.
    """
    # What is said now is the last word, also after a clock that was ahead.
    if given_at != at and any(given_at < decision.decided_at for decision in chain):
        raise Refused(
            "--given-at is before the last decision on record of that subject for that purpose,"
            " which stands: see `vitalveil trust decision list`, and ask again"
        )


def capture_of(said: Said) -> Capture:
    """Return what was said, as a decision keeps it."""
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
    Return the signature of an officer who vouches for something about *decision*.

    Raises:
        Refused: There is no such officer any more, or the key is another's.
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
    """Tell whether everything that an officer vouched for in *decision* was signed by them."""
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
    """Return what *decision* shows of how it was given."""
    if decision.state is not State.ACCEPTED:
        return Proof.NOT_NEEDED
    capture = decision.capture
    is_stated = capture.method in set(Method) and None not in (capture.text_sha256, capture.locale)
    return Proof.STATED if is_stated else Proof.UNPROVEN
