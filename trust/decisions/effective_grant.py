"""
Handles: the opaque stand-in for one person at one gateway, and what it may carry.

128 random bits, issued once. A handle that ended never comes back: a new grant gets a new one.
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
    """What a handle stands for now: everything that lease and permissions are compiled from."""

    handle: bytes
    subject: UUID
    pseudonym: Pseudonym
    purpose: Purpose
    bindings: list[str]
    scope: Scope
    later: Sequence[Purpose] = ()
    """Versions of the purpose that were agreed to since the handle was issued, in their order."""

    def rules(self) -> list[Rule]:
        """Return the rules for what was decided, finer than nothing that was ever agreed to."""
        found = (self._rule(name) for name in sorted(self.scope.quantities))
        return [rule for rule in found if rule is not None]

    def _rule(self, quantity: str) -> Rule | None:
        # What matters is what may be measured in effect, not which words are in the decision: a
        # version that was agreed to later may be coarser, or leave a quantity out.
        rule: Rule | None = None
        for number, purpose in enumerate((self.purpose, *self.later)):
            if quantity not in purpose.quantities:
                return None
            offered = purpose.rule(quantity)
            rule = offered if not number else rule and rule.narrowed(offered)
        return rule

    def is_valid(self, at: dt.datetime) -> bool:
        """Tell whether its scope covers *at*."""
        return self.scope.valid_from <= at and (
            self.scope.valid_to is None or at < self.scope.valid_to
        )

    def __repr__(self) -> str:
        return "Standing(…)"
