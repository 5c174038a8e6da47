"""What an error of the database means, and what to do next. Pure."""

import enum
from typing import Final


class Verdict(enum.Enum):
    """What to do with the batch that failed."""

    TRANSIENT = "transient"
    """Keep the acks, wait, try the same batch again."""
    POISON = "poison"
    """An envelope of it is the cause: bisect, quarantine that one, go on."""
    FATAL = "fatal"
    """Somebody must mend the database or the settings: leave."""


# SQLSTATE classes, https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
_POISON_CLASSES: Final = frozenset({"21", "22", "23", "54"})


def classify(sqlstate: str | None) -> Verdict:
    """Return what an error with *sqlstate* means; None stands for a lost connection."""
    if sqlstate is None or sqlstate[:2] in _TRANSIENT_CLASSES:
        return Verdict.TRANSIENT
    if sqlstate[:2] in _POISON_CLASSES:
        return Verdict.POISON
    return Verdict.FATAL
