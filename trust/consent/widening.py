"""
Widening: what one version of a purpose allows and another did not, in sentences.

Pure. A version widens nothing exactly when the other version allows every observation that this
version allows, at the same or a finer detail, and no recipient receives more data, for longer or
on another legal basis. Two details that cannot be compared count as wider: rounding to 3 reveals
what rounding to 2 hides.
"""

import enum
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from trust.domain.purposes import Purpose
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))


class Kind(enum.StrEnum):
    """The respect in which a version is wider than another."""

    FIRST = "first"
    """There is no earlier version, so everything is new."""
    QUANTITY = "quantity"
    DENY = "deny"
    ROUNDING = "rounding"
    INTERVAL = "interval"
    TIME = "time"
    AGGREGATE = "aggregate"
    RETENTION = "retention"
    RECIPIENT = "recipient"
    PADDING = "padding"
    BASIS = "basis"
    TEXT = "text"


class Widening(msgspec.Struct, frozen=True):
    """One way in which a version is wider than another."""

    kind: Kind
    against: str
    """Reference of the earlier version; for the first version, its own reference."""
    words: str

    @property
    def sentence(self) -> str:
        """The whole widening as one sentence for a reader."""
        return f"{self.words} ({'first version' if self.kind is Kind.FIRST else self.against})"


_Wider = Callable[[Kind, str], Widening]


def digest(widenings: Sequence[Widening]) -> str:
    """Return the SHA-256 of *widenings* as shown, in hexadecimal; an approval covers it."""
    shown = json.dumps([one.sentence for one in widenings], separators=(",", ":"))
    return hashlib.sha256(shown.encode()).hexdigest()


def widenings(new: Purpose, others: Iterable[Purpose]) -> list[Widening]:
    """
    Return how *new* is wider than each of *others*; without others, everything it allows.

    Args:
        new: The new version.

        others: Earlier versions of the same purpose.
    """
    before = sorted(others, key=lambda purpose: purpose.version)
    if not before:
        return list(_everything(new))
    return [one for old in before for one in _between(new, old)]


def _between(new: Purpose, old: Purpose) -> Iterator[Widening]:
    def wider(kind: Kind, words: str) -> Widening:
        return Widening(kind, old.reference, words)

    for name in sorted(new.quantities):
        if name not in old.quantities:
            yield wider(Kind.QUANTITY, f"{name} is measured, and was not")
            continue
        for kind, words in _finer(name, new.rule(name), old.rule(name)):
            yield wider(kind, words)
    for name in sorted({*old.deny} - {*new.deny}):
        yield wider(Kind.DENY, f"{name} is denied no more")
    for what, days, was in (
        ("observations", new.retention.raw_days, old.retention.raw_days),
        ("aggregates", new.retention.aggregate_days, old.retention.aggregate_days),
    ):
        if days > was:
            yield wider(Kind.RETENTION, f"{what} are kept for {days} days instead of {was}")
    for name in sorted({*new.recipients} - {*old.recipients}):
        yield wider(Kind.RECIPIENT, f"{name} receives it, and did not")
    if new.bucket_bytes % old.bucket_bytes:
        yield wider(
            Kind.PADDING,
            f"envelopes are padded to {new.bucket_bytes} bytes instead of {old.bucket_bytes}, so"
            " that their length tells more",
        )
    yield from _grounds(new, old, wider)


def _grounds(new: Purpose, old: Purpose, wider: _Wider) -> Iterator[Widening]:
    for article, ground, was in (("6", new.art6, old.art6), ("9", new.art9, old.art9)):
        if ground is not was:
            yield wider(
                Kind.BASIS, f"it rests on art. {ground} instead of {was} (GDPR art. {article})"
            )
    for locale, digest_ in sorted(new.texts_by_locale.items()):
        if old.texts_by_locale.get(locale) not in (None, digest_):
            yield wider(Kind.TEXT, f"another text is shown in {locale}")
    if old.texts_by_locale and not new.texts_by_locale:
        yield wider(Kind.TEXT, "it is not said any more which text is shown")


def _finer(name: str, new: Rule, old: Rule) -> Iterator[tuple[Kind, str]]:
    if new.step % old.step:
        yield (
            Kind.ROUNDING,
            f"{name} is rounded to {_value(name, new.step)} instead of {_value(name, old.step)}",
        )
    # Where two new intervals meet, neighbouring times may be only one time step apart. They fall
    # into the same old interval unless an old boundary lies between them at every such place.
    if old.interval_ms - math.gcd(new.interval_ms, old.interval_ms) >= new.time_step_ms:
        yield (
            Kind.INTERVAL,
            f"{name} is stored each {_length(new.interval_ms)} instead of"
            f" {_length(old.interval_ms)}",
        )
    if new.time_step_ms % old.time_step_ms:
        yield (
            Kind.TIME,
            f"times of {name} are rounded to {_length(new.time_step_ms)} instead of"
            f" {_length(old.time_step_ms)}",
        )
    # A mean hides every value of its interval; choosing another single value hides nothing.
    if new.aggregate not in (old.aggregate, Aggregate.MEAN):
        yield (
            Kind.AGGREGATE,
            f"of each interval of {name} the {new.aggregate} is kept instead of the"
            f" {old.aggregate}",
        )


def _everything(new: Purpose) -> Iterator[Widening]:
    def told(words: str) -> Widening:
        return Widening(Kind.FIRST, new.reference, words)

    for name in sorted(new.quantities):
        rule = new.rule(name)
        yield told(
            f"{name} is measured: rounded to {_value(name, rule.step)}, the {rule.aggregate} of"
            f" each {_length(rule.interval_ms)}, at times rounded to {_length(rule.time_step_ms)}"
        )
    yield told(f"observations are kept for {new.retention.raw_days} days")
    yield told(f"aggregates are kept for {new.retention.aggregate_days} days")
    yield told(f"it is received by: {', '.join(sorted(new.recipients)) or 'no other'}")
    yield told(f"it rests on art. {new.art6} and {new.art9}")
    yield told(f"envelopes are padded to {new.bucket_bytes} bytes")


def _value(name: str, step: int) -> str:
    quantity = BY_NAME[name]
    return f"{(Decimal(step) / quantity.per_unit).normalize():f} {quantity.unit}"


def _length(ms: int) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if not ms % size)
    return f"{ms // size} {unit}"
