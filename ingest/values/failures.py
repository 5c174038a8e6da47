"""Classifies errors of the database by what to do next. Pure."""

import enum
from typing import Final


class Verdict(enum.Enum):
    """What to do with the flush that failed."""

    TRANSIENT = "transient"
    """Keep the acks, wait, and try the same flush again."""
    POISON = "poison"
    """An envelope of the flush is the cause: bisect, quarantine that envelope, continue."""
    FATAL = "fatal"
    """The operator must repair the database or the settings: exit."""


# SQLSTATE classes, https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
_POISON_CLASSES: Final = frozenset({"21", "22", "23", "54"})


def classify(sqlstate: str | None) -> Verdict:
    """Return the verdict on an error with *sqlstate*; None stands for a lost connection."""
    if sqlstate is None or sqlstate[:2] in _TRANSIENT_CLASSES:
        return Verdict.TRANSIENT
    if sqlstate[:2] in _POISON_CLASSES:
        return Verdict.POISON
    return Verdict.FATAL
