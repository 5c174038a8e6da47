"""What the doctor says: one finding for each thing that it looked at."""

import enum

import msgspec


class Level(enum.StrEnum):
    """How bad it is."""

    SOUND = "sound"
    NOTE = "note"
    """Worth knowing; nothing need be done today."""
    WRONG = "wrong"
    """A promise is broken, or will be."""


class Finding(msgspec.Struct, frozen=True):
    """
    One thing that was looked at.

    Args:
        code: Names it, for whoever filters: `broker-anonymous`.

        text: What is so. Never a secret, a value or a name of a person.

        mend: What to do; empty when it is sound.
    """

    code: str
    level: Level
    text: str
    mend: str = ""


def sound(code: str, text: str) -> Finding:
    """Return that all is well with *code*."""
    return Finding(code, Level.SOUND, text)


def note(code: str, text: str, mend: str) -> Finding:
    """Return something worth knowing."""
    return Finding(code, Level.NOTE, text, mend)


def wrong(code: str, text: str, mend: str) -> Finding:
    """Return something to mend."""
    return Finding(code, Level.WRONG, text, mend)
