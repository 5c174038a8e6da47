"""
Purposes: why data are measured, on which legal basis, and at which finest detail.

A purpose and its policy are one document, written in YAML, versioned, and signed when it is
loaded. A version never changes: consent to `home-monitoring@1` is consent to exactly these bytes.
"""

import enum
import re
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME
from wire.sealing import DEFAULT_BUCKET_BYTES

_PURPOSE: Final = re.compile(r"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)@([1-9]\d{0,5})", re.ASCII)


class Article6(enum.StrEnum):
    """A legal basis (GDPR art. 6)."""

    CONSENT = "6.1.a"
    CONTRACT = "6.1.b"
    LEGAL_OBLIGATION = "6.1.c"
    VITAL_INTERESTS = "6.1.d"
    PUBLIC_TASK = "6.1.e"
    LEGITIMATE_INTERESTS = "6.1.f"


class Article9(enum.StrEnum):
    """An exception without which data on health must not be processed (GDPR art. 9)."""

    EXPLICIT_CONSENT = "9.2.a"
    SOCIAL_PROTECTION = "9.2.b"
    VITAL_INTERESTS = "9.2.c"
    NON_PROFIT = "9.2.d"
    MADE_PUBLIC = "9.2.e"
    LEGAL_CLAIMS = "9.2.f"
    PUBLIC_INTEREST = "9.2.g"
    CARE = "9.2.h"
    PUBLIC_HEALTH = "9.2.i"
    RESEARCH = "9.2.j"


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long data of the purpose are kept, in days."""

    raw_days: int
    aggregate_days: int


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The finest detail that the purpose needs of one quantity."""

    step: int
    """Rounding of values, in steps of the quantity's resolution."""
    interval_ms: int
    time_step_ms: int
    aggregate: Aggregate


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a purpose, with its policy."""

    name: str
    version: int
    art6: Article6
    art9: Article9
    quantities: dict[str, Allowed]
    """The allowed detail by quantity name; other quantities are not measured."""
    retention: Retention
    recipients: list[str] = []
    deny: list[str] = []
    """Quantities that are explicitly refused, so no later version adds them unnoticed."""
    bucket_bytes: int = DEFAULT_BUCKET_BYTES
    texts: dict[str, str] | UnsetType = UNSET
    """SHA-256 of the text shown to people, by locale; unset if the policy names no text."""
    justification: str | UnsetType = UNSET
    """Why data are kept longer than `USUAL_DAYS`, if they are."""

    @property
    def texts_by_locale(self) -> dict[str, str]:
        """The SHA-256 of each text by locale; empty if the policy names no text."""
        return {} if isinstance(self.texts, UnsetType) else self.texts

    @property
    def reference(self) -> str:
        """The name and version, as `home-monitoring@1`, by which a decision names this purpose."""
        return f"{self.name}@{self.version}"

    @property
    def needs_consent(self) -> bool:
        """Whether the person must agree; for other legal bases they must only be informed."""
        return self.art6 is Article6.CONSENT or self.art9 is Article9.EXPLICIT_CONSENT

    def rule(self, quantity: str) -> Rule:
        """Return the rule for *quantity*, which must be among the allowed quantities."""
        allowed = self.quantities[quantity]
        return Rule(
            quantity=BY_NAME[quantity].code,
            step=allowed.step,
            interval_ms=allowed.interval_ms,
            time_step_ms=allowed.time_step_ms,
            aggregate=allowed.aggregate,
        )


def is_name(text: str) -> bool:
    """Tell whether *text* is a valid name of a purpose, without a version."""
    return parse_reference(f"{text}@1") is not None


def parse_reference(text: str) -> tuple[str, int] | None:
    """Return name and version from a text such as `home-monitoring@1`; None if invalid."""
    match = _PURPOSE.fullmatch(text)
    return None if match is None else (match.group(1), int(match.group(2)))
