"""
The outcome of a delivery: accepted, refused with a reason, a duplicate, or quarantined.

These are closed sets of names: they serve as metric labels, ledger codes and log fields.
"""

import enum
from typing import Final


class Reason(enum.StrEnum):
    """Why an envelope or a block is refused: it is counted and acknowledged, and not kept."""

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
    """
    The agent's last certificate has expired. The agent gets no receipt, and sends the envelope
    again after the renewal.
    """

    @property
    def code(self) -> int:
        """The number of the reason in arrays of codes, where 0 stands for accepted."""
        return _CODES[self]

    @classmethod
    def of(cls, code: int) -> "Reason":
        """Return the reason with this *code*."""
        return _REASONS[code - 1]


_REASONS = tuple(Reason)
_CODES = {reason: number for number, reason in enumerate(_REASONS, start=1)}


class QuarantineReason(enum.StrEnum):
    """Why an envelope is kept in quarantine, sealed, for an operator to examine."""

    BAD_SEAL = "bad_seal"
    """No key opens it: a key was rotated wrongly, or it is a forgery. It is not settled."""
    CONFLICT = "conflict"
    """Its identity was settled before with other bytes."""
    POISON = "poison"
    """The database cannot write it."""


class Outcome(enum.StrEnum):
    """The final outcome of an envelope."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


Verdict = Reason | QuarantineReason | None
"""The decision about an envelope before the ledger is asked; None for accepted."""

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
Verdicts on an envelope that anyone may have made: it claims no identity and gets no receipt.

All other verdicts are about an envelope that names a handle of its agent. A handle is 128 random
bits that travel sealed, so that only the agent can name it. (The handles of agents that send JSON
are visible to the broker.)
"""


GIVEN_UP: Final = 3
"""Code in the ledger's `outcome` column for an envelope that an operator gave up."""


def ledger_code(verdict: Verdict) -> int:
    """Return the code for the ledger's `outcome` column: 0 accepted, 1 refused, 2 quarantined."""
    if verdict is None:
        return 0
    return 1 if isinstance(verdict, Reason) else 2
