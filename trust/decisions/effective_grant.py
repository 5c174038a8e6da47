"""
Effective grants: what a handle, the opaque name of one person at one gateway, may carry now.

A handle is 128 random bits and is issued once. A handle that ended is never used again: a new
grant gets a new handle.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from trust.decisions.decisions import Scope
from trust.domain.pseudonyms import Pseudonym
from trust.domain.purposes import Purpose
from wire.policy import Rule

HANDLE_BYTES: Final = 16


class EffectiveGrant(msgspec.Struct, frozen=True):
    """What a handle permits now: the input from which lease and permissions are compiled."""

    handle: bytes
    subject: UUID
    pseudonym: Pseudonym
    purpose: Purpose
    bindings: list[str]
    scope: Scope
    later: Sequence[Purpose] = ()
    """Versions of the purpose agreed to since the handle was issued, in their order."""
    source: int = 0
    """The number of its sensor among those of the person, or 0 for a handle of several sensors."""
    unbound_at: dt.datetime | None = None
    """Since when its sensor is not bound any more: what it measured before may still be sent."""

    def rules(self) -> list[Rule]:
        """Return the rule for each decided quantity, never finer than any agreed version."""
        found = (self._rule(name) for name in sorted(self.scope.quantities))
        return [rule for rule in found if rule is not None]

    def _rule(self, quantity: str) -> Rule | None:
        # The effective permission matters, not the words of the decision: a version that was
        # agreed to later may be coarser or may leave a quantity out.
        rule: Rule | None = None
        for number, purpose in enumerate((self.purpose, *self.later)):
            if quantity not in purpose.quantities:
                return None
            offered = purpose.rule(quantity)
            rule = offered if not number else rule and rule.narrowed(offered)
        return rule

    def is_valid(self, at: dt.datetime) -> bool:
        """Tell whether the time *at* is within the scope of this grant."""
        return self.scope.valid_from <= at and (
            self.scope.valid_to is None or at < self.scope.valid_to
        )

    def __repr__(self) -> str:
        return "EffectiveGrant(…)"
