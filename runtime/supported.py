"""
The versions of other software that VitalVeil supports, and what was tried with which.

`vitalveil doctor`, `vitalveil agent doctor` and docs/reference/versions.md read them from here.
"""

import enum
import re
from typing import Final

import msgspec

Version = tuple[int, ...]
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)+")


class Support(enum.StrEnum):
    """What is known of a version."""

    TOO_OLD = "too old"
    """It is not supported: something that VitalVeil relies on is missing."""
    TRIED = "tried"
    """It lies between the oldest supported version and the newest that was tried."""
    LATER = "later"
    """It is later than all that were tried."""


class Software(msgspec.Struct, frozen=True):
    """
    Software that VitalVeil runs on, or talks to.

    Args:
        name: As its makers write it.

        least: The oldest version that is supported.

        newest: The newest version that was tried; parts that are left out are not compared.

        tried: What was tried, with which version.

        untried: What was not tried.
    """

    name: str
    least: Version
    newest: Version
    tried: tuple[str, ...]
    untried: str

    def judge(self, version: Version) -> Support:
        """Return what is known of *version*."""
        if version < self.least:
            return Support.TOO_OLD
        is_later = version[: len(self.newest)] > self.newest
        return Support.LATER if is_later else Support.TRIED

    def describe(self, version: Version) -> str:
        """Return a sentence, without its full stop, on *version*."""
        said = f"{self.name} {text(version)} "
        match self.judge(version):
            case Support.TOO_OLD:
                return said + f"is not supported: it is older than {text(self.least)}"
            case Support.LATER:
                return said + f"is later than {text(self.newest)}, the last that was tried"
            case Support.TRIED:
                return said + "is supported"


def text(version: Version) -> str:
    """Return *version* with points."""
    return ".".join(map(str, version))


def find(said: str) -> Version | None:
    """Return the first version in what a program says of itself, or None."""
    match = _NUMBERS.search(said)
    return None if match is None else tuple(map(int, match[0].split(".")))


PYTHON: Final = Software(
    "Python",
    least=(3, 11),
    newest=(3, 13),
    tried=(
        "3.11 (Debian 12): all tests",
        "3.13 (Debian 13, Raspberry Pi OS): all unit tests; tests with servers of trust, ingest,"
        " the agent and its radio",
    ),
    untried="3.12, which the container image has; builds without the global interpreter lock",
)
POSTGRESQL: Final = Software(
    "PostgreSQL",
    least=(15,),
    newest=(18,),
    tried=(
        "18.6: all tests",
        "15 with TimescaleDB: tests of ingest, trust, erasure and schema, now and then",
    ),
    untried="16 and 17; managed services",
)
TIMESCALEDB: Final = Software(
    "TimescaleDB",
    least=(2, 25),
    newest=(2, 25),
    tried=("2.25.2 on PostgreSQL 15: as above",),
    untried="2.29.2, which `vitalveil doctor` recommends because of fixes in its release notes",
)
MOSQUITTO: Final = Software(
    "mosquitto",
    least=(2, 0),
    newest=(2, 0),
    tried=("2.0.11 (Debian 12): all tests",),
    untried="2.0.21 (Debian 13); 2.1; other brokers",
)
BLUEZ: Final = Software(
    "BlueZ",
    least=(5, 55),
    newest=(5, 66),
    tried=(
        "5.66 (Debian 12) with Linux 6.12, in an emulated machine with a virtual controller:"
        " `make test-radio`",
        "its D-Bus interface, simulated: all tests of the agent's radio",
    ),
    untried="5.82 (Debian 13, Raspberry Pi OS); a physical radio",
)
ALL: Final = (PYTHON, POSTGRESQL, TIMESCALEDB, MOSQUITTO, BLUEZ)
