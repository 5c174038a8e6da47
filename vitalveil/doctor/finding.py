"""Findings: the result of each check of the doctor."""

import enum

import msgspec

from runtime.supported import Software, Support, Version


class Level(enum.StrEnum):
    """The severity of a finding."""

    SOUND = "sound"
    """The check found no fault."""
    NOTE = "note"
    """Worth knowing, but nothing needs to be done today."""
    WRONG = "wrong"
    """A fault: one of the promises is broken, or will be."""


class Finding(msgspec.Struct, frozen=True):
    """
    The result of one check.

    Args:
        code: Name of the check, for filters, for instance `broker-anonymous`.

        text: What was found. Never a secret, a value or a name of a person.

        remedy: What the operator should do; empty if there is no fault.
    """

    code: str
    level: Level
    text: str
    remedy: str = ""


def sound(code: str, text: str) -> Finding:
    """Return a finding without a fault."""
    return Finding(code, Level.SOUND, text)


def note(code: str, text: str, remedy: str) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(code, Level.NOTE, text, remedy)


def wrong(code: str, text: str, remedy: str) -> Finding:
    """Return a finding of a fault."""
    return Finding(code, Level.WRONG, text, remedy)


def of_version(code: str, software: Software, version: Version) -> Finding:
    """Return a finding on the *version* of *software*."""
    text = software.describe(version)
    match software.judge(version):
        case Support.TOO_OLD:
            return wrong(code, text, "Upgrade it; see docs/reference/versions.md.")
        case Support.LATER:
            remedy = (
                "It may well work. Please report what you see; see docs/reference/versions.md."
            )
            return note(code, text, remedy)
        case Support.TRIED:
            return sound(code, text)
