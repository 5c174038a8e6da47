"""
What became of a delivery: accepted, refused with a reason, a duplicate, or quarantined.

Closed sets: they are metric labels, ledger codes and log fields, and never carry more than a name.
"""

import enum
from typing import Final


class Reason(enum.StrEnum):
    """Why an envelope, or a block of it, is refused: counted, acknowledged, nothing kept."""

    MALFORMED = "malformed"
    UNSUPPORTED_VERSION = "unsupported_version"
    BAD_SEAL = "bad_seal"
    UNKNOWN_AGENT = "unknown_agent"
    WRONG_TOPIC = "wrong_topic"
    UNKNOWN_HANDLE = "unknown_handle"
    NOT_PERMITTED = "not_permitted"
    WITHDRAWN = "withdrawn"
    OUTSIDE_PERIOD = "outside_period"
    LEASE_EXPIRED = "lease_expired"
    POLICY_EXCEEDED = "policy_exceeded"
    IMPLAUSIBLE = "implausible"
    FROM_THE_FUTURE = "from_the_future"
    TOO_OLD = "too_old"
    TOO_LARGE = "too_large"
    AGENT_REVOKED = "agent_revoked"
    AGENT_EXPIRED = "agent_expired"
    """The last certificate of its agent is over. It is sent again after renewal: no receipt."""

    @property
    def code(self) -> int:
        """Its number in columns of blocks, where 0 stands for accepted."""
        return _CODES[self]

    @classmethod
    def of(cls, code: int) -> "Reason":
        """Return the reason with this *code*."""
        return _REASONS[code - 1]


_REASONS = tuple(Reason)
_CODES = {reason: number for number, reason in enumerate(_REASONS, start=1)}


class QuarantineReason(enum.StrEnum):
    """Why an envelope is kept aside, sealed, for a person to look at."""

    BAD_SEAL = "bad_seal"
    """No key of ours opens it: a key rotated wrongly, or a forgery. It settles nothing."""
    CONFLICT = "conflict"
    """Its identity was settled before with other bytes."""
    POISON = "poison"
    """The database cannot write it."""


class Outcome(enum.StrEnum):
    """What became of an envelope."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


Verdict = Reason | QuarantineReason | None
"""What was decided before the ledger was asked; None for accepted."""

ANONYMOUS: Final = frozenset[Verdict](
    {
        Reason.MALFORMED,
        Reason.UNSUPPORTED_VERSION,
        Reason.BAD_SEAL,
        Reason.UNKNOWN_AGENT,
        Reason.AGENT_REVOKED,
        Reason.AGENT_EXPIRED,
        Reason.WRONG_TOPIC,
        Reason.UNKNOWN_HANDLE,
        Reason.TOO_LARGE,
        QuarantineReason.BAD_SEAL,
    }
)
"""
Verdicts on an envelope that anyone may have made: it takes no identity and gets no receipt.

All others are passed on an envelope that names a handle of its agent, and a handle is 128 random
bits that travel sealed: whoever names it is the agent. (Of an agent that may send JSON the broker
reads the handles.)
"""


GIVEN_UP: Final = 3
"""What the ledger's `outcome` column says of what an operator gave up."""


def ledger_code(verdict: Verdict) -> int:
    """Return what the ledger's `outcome` column says: 0 accepted, 1 refused, 2 quarantined."""
    if verdict is None:
        return 0
    return 1 if isinstance(verdict, Reason) else 2
