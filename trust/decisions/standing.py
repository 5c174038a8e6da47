"""
The standing of each recorded decision: whether it is in force, and if not, why.

A chain keeps every decision as it was taken, also one that was replaced later. The reader of one
of them alone must be told what became of it (ISO/IEC TS 27560: the state of a consent).
"""

import datetime as dt
import enum
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from trust.decisions.decisions import Decision, State


class Standing(enum.StrEnum):
    """What became of a decision."""

    IN_FORCE = "in-force"
    NOT_YET = "not-yet-in-force"
    """The person agreed for a period that has not begun."""
    SUPERSEDED = "superseded"
    """A later decision for the same purpose replaced it."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """The person agreed for a period that is over."""
    REFUSED = "refused"
    """The person said no, for now or for ever."""
    LEFT_OPEN = "left-open"
    """The person was shown the choice and did not choose."""
    UNASKED = "unasked"
    """The person was not asked, or what they want is not known."""
    RESTRICTED = "restricted"
    """The processing is restricted (GDPR art. 18): nothing is permitted by consent meanwhile."""
    VOID = "void"
    """The decision was declared void, or it declares the one before it void."""


_OF_STATE: Final[Mapping[State, Standing]] = MappingProxyType(
    {
        State.UNKNOWN: Standing.UNASKED,
        State.NOT_ASKED: Standing.UNASKED,
        State.NOT_CHOSEN: Standing.LEFT_OPEN,
        State.DECLINED: Standing.REFUSED,
        State.REFUSED: Standing.REFUSED,
        State.WITHDRAWN: Standing.WITHDRAWN,
        State.EXPIRED: Standing.EXPIRED,
        State.INVALIDATED: Standing.VOID,
        State.RESTRICTED: Standing.RESTRICTED,
    }
)
"""The standing of the latest decision by its state, except for a yes, which has a period."""


def standings(chain: Sequence[Decision], *, at: dt.datetime) -> list[Standing]:
    """
    Return the standing of each decision *at* a time, in the order of the chain.

    Args:
        chain: All decisions of one subject for one purpose, in their order.

        at: A time with a zone.
    """
    found = [_replaced(one, later) for one, later in itertools.pairwise(chain)]
    return [*found, *(_latest(one, at=at) for one in chain[-1:])]


def _replaced(one: Decision, later: Decision) -> Standing:
    is_void = State.INVALIDATED in (one.state, later.state)
    return Standing.VOID if is_void else Standing.SUPERSEDED


def _latest(one: Decision, *, at: dt.datetime) -> Standing:
    if one.state is not State.ACCEPTED:
        return _OF_STATE[one.state]
    if one.valid_to is not None and one.valid_to <= at:
        return Standing.EXPIRED
    return Standing.NOT_YET if at < one.valid_from else Standing.IN_FORCE
