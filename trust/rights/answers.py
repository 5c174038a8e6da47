"""The answers of a person in an export: each decision, with what became of it."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import msgspec

from formats.person import Consent, Status
from trust.decisions.decisions import Decision, State
from trust.decisions.standing import Standing, standings

_STATUS: Final[Mapping[Standing, Status]] = MappingProxyType(
    {
        Standing.IN_FORCE: Status.ACTIVE,
        # The period of the Consent begins later, and a reader must look at it in any case.
        Standing.NOT_YET: Status.ACTIVE,
        Standing.SUPERSEDED: Status.INACTIVE,
        Standing.WITHDRAWN: Status.INACTIVE,
        Standing.EXPIRED: Status.INACTIVE,
        Standing.REFUSED: Status.REJECTED,
        Standing.LEFT_OPEN: Status.PROPOSED,
        Standing.UNASKED: Status.INACTIVE,
        Standing.RESTRICTED: Status.INACTIVE,
        Standing.VOID: Status.ENTERED_IN_ERROR,
    }
)


class Answered(msgspec.Struct, frozen=True):
    """A decision, and what became of it."""

    decision: Decision
    standing: Standing
    replaced_at: dt.datetime | None
    """When the next decision for the purpose was recorded; None for the latest."""

    @property
    def ends_at(self) -> dt.datetime | None:
        """When its period or the next decision ended it, or will; None if nothing ends it."""
        ends = [end for end in (self.decision.valid_to, self.replaced_at) if end is not None]
        return min(ends, default=None)

    def consent(self) -> Consent:
        """Return the decision as export formats know it."""
        one = self.decision
        return Consent(
            one.decision,
            one.purpose,
            one.version,
            _STATUS[self.standing],
            one.state is State.ACCEPTED,
            one.decided_at,
            one.valid_from,
            self.ends_at,
        )

    def document(self) -> dict[str, Any]:
        """Return the decision as it was signed, with its standing."""
        told: dict[str, Any] = msgspec.to_builtins(self.decision)
        return {**told, "standing": self.standing.value, "replaced_at": self.replaced_at}

    def __repr__(self) -> str:
        return "Answered(…)"


def answered(
    chain: Sequence[Decision], recorded_at: Mapping[UUID, dt.datetime], *, at: dt.datetime
) -> Iterator[Answered]:
    """
    Yield each decision of *chain* with what became of it by a time *at*.

    Args:
        chain: All decisions of one subject for one purpose, in their order.

        recorded_at: When each was recorded, by its id.

        at: The time of the export.
    """
    replaced = [recorded_at.get(later.decision) for later in chain[1:]]
    for one, standing, end in zip(
        chain, standings(chain, at=at), [*replaced, None][: len(chain)], strict=True
    ):
        yield Answered(one, standing, end)
