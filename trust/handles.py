"""
Handles: the opaque stand-in for one person at one gateway, and what it may carry.

128 random bits, issued once. A handle that ended never comes back: a new grant gets a new one.
"""

import datetime as dt
from typing import Final
from uuid import UUID

import msgspec

from trust.decisions import Scope
from trust.pseudonyms import Pseudonym
from trust.purposes import Purpose
from wire.policy import Rule

HANDLE_BYTES: Final = 16


class Standing(msgspec.Struct, frozen=True):
    """What a handle stands for now: everything that lease and permissions are compiled from."""

    handle: bytes
    subject: UUID
    pseudonym: Pseudonym
    purpose: Purpose
    bindings: list[str]
    scope: Scope

    def rules(self) -> list[Rule]:
        """Return the rules for what was both decided and needed by the purpose."""
        names = sorted(self.scope.quantities & self.purpose.quantities.keys())
        return [self.purpose.rule(name) for name in names]

    def is_valid(self, at: dt.datetime) -> bool:
        """Tell whether its scope covers *at*."""
        return self.scope.valid_from <= at and (
            self.scope.valid_to is None or at < self.scope.valid_to
        )

    def __repr__(self) -> str:
        return "Standing(…)"
