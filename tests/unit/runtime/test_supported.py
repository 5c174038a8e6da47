"""Supported versions of other software, judged by one list of tried versions."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from runtime import supported
from runtime.supported import Software, Support

_ROOT: Final = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("software", "version", "support", "said"),
    [
        (supported.PYTHON, (3, 10), Support.TOO_OLD, "is older than 3.11"),
        (supported.PYTHON, (3, 11), Support.TRIED, "Python 3.11 is supported"),
        (supported.PYTHON, (3, 13, 9), Support.TRIED, "is supported"),
        (supported.PYTHON, (3, 14), Support.LATER, "later than 3.13, the last that was tried"),
        (supported.POSTGRESQL, (14, 20), Support.TOO_OLD, "PostgreSQL 14.20 is not supported"),
        (supported.POSTGRESQL, (15, 0), Support.TRIED, "is supported"),
        (supported.POSTGRESQL, (18, 9), Support.TRIED, "is supported"),
        (supported.POSTGRESQL, (19, 0), Support.LATER, "is later than 18"),
        (supported.MOSQUITTO, (1, 6, 12), Support.TOO_OLD, "is older than 2.0"),
        (supported.MOSQUITTO, (2, 0, 21), Support.TRIED, "mosquitto 2.0.21 is supported"),
        (supported.MOSQUITTO, (2, 1, 0), Support.LATER, "is later than 2.0"),
        (supported.BLUEZ, (5, 54), Support.TOO_OLD, "is older than 5.55"),
        (supported.BLUEZ, (5, 82), Support.LATER, "is later than 5.66"),
    ],
)
def test_a_version_is_judged(
    software: Software, version: tuple[int, ...], support: Support, said: str
) -> None:
    """A version below the oldest is a fault, and one above all tried versions is noted."""
    assert software.judge(version) is support
    assert said in software.describe(version)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.", (2, 0, 11)),
        ("bluetoothctl: 5.66", (5, 66)),
        ("5.82\n", (5, 82)),
        ("no version at all: 7", None),
        ("", None),
    ],
)
def test_a_version_is_found(said: str, version: tuple[int, ...] | None) -> None:
    """The version is found in the output of each program."""
    assert supported.find(said) == version


def test_the_oldest_is_not_later_than_the_newest() -> None:
    """In every range the oldest version is not above the newest."""
    for one in supported.ALL:
        assert one.judge(one.least) is Support.TRIED
        assert one.judge(one.newest) is Support.TRIED
        assert one.tried


def test_the_package_asks_for_the_same_python() -> None:
    """The Python versions of pyproject.toml equal those of the list."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={supported.text(supported.PYTHON.least)}"
    named = re.findall(r"Python :: (\d\.\d+)", "\n".join(project["classifiers"]))
    tried = [said.split()[0] for said in supported.PYTHON.tried]
    assert named == tried
    assert (named[0], named[-1]) == (
        supported.text(supported.PYTHON.least),
        supported.text(supported.PYTHON.newest),
    )
