"""
Purposes: why something is measured, on which legal basis, and how finely at most.

A purpose and its policy are one document, written in YAML, versioned, and signed when it is
loaded. A version never changes: who consented to `home-monitoring@1` consented to these bytes.
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
    """How long it is kept, in days."""

    raw_days: int
    aggregate_days: int


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The finest that the purpose needs of one quantity."""

    step: int
    """Rounding, in steps of the quantity's resolution."""
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
    """By name; what is not here is not measured."""
    retention: Retention
    recipients: list[str] = []
    deny: list[str] = []
    """Quantities that no later version may slip in unnoticed: named, and refused."""
    bucket_bytes: int = DEFAULT_BUCKET_BYTES
    texts: dict[str, str] | UnsetType = UNSET
    """By locale, the SHA-256 of what people are shown; unset, where the policy does not say."""
    justification: str | UnsetType = UNSET
    """Why it is kept for longer than is usual, where it is."""

    @property
    def texts_by_locale(self) -> dict[str, str]:
        """The texts; empty, where the policy does not say."""
        return {} if isinstance(self.texts, UnsetType) else self.texts

    @property
    def reference(self) -> str:
        """Its name and version, as a decision names it."""
        return f"{self.name}@{self.version}"

    @property
    def needs_consent(self) -> bool:
        """Whether the person has to agree; elsewhere they have to be informed, and no more."""
        return self.art6 is Article6.CONSENT or self.art9 is Article9.EXPLICIT_CONSENT

    def rule(self, quantity: str) -> Rule:
        """Return the rule for *quantity*, which the purpose allows."""
        allowed = self.quantities[quantity]
        return Rule(
            quantity=BY_NAME[quantity].code,
            step=allowed.step,
            interval_ms=allowed.interval_ms,
            time_step_ms=allowed.time_step_ms,
            aggregate=allowed.aggregate,
        )


def is_name(text: str) -> bool:
    """Tell whether *text* can name a purpose, without a version."""
    return parse_reference(f"{text}@1") is not None


def parse_reference(text: str) -> tuple[str, int] | None:
    """Return name and version of `home-monitoring@1`, or None when *text* is not one."""
    match = _PURPOSE.fullmatch(text)
    return None if match is None else (match.group(1), int(match.group(2)))
