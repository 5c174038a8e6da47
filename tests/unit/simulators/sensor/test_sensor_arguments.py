"""The command line of `vitalveil simulate sensor`."""

import argparse
import json
from pathlib import Path

import pytest

from simulators.cli import main
from simulators.sensor.arguments import add_parser, options_of
from simulators.sensor.options import SensorKind


def test_list_shows_what_would_be_on_the_air(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--list` shows address and kind of each sensor before anything runs."""
    arguments = ["--list", "--source", str(tmp_path), "--json", "--sensors", "strap,meter"]
    assert main(["sensor", *arguments]) == 0

    captured = capsys.readouterr()
    shown = json.loads(captured.out)["rows"]
    assert [one["kind"] for one in shown] == ["strap", "meter"]
    assert all(int(one["address"][:2], 16) >= 0xC0 for one in shown)
    assert captured.err.startswith("source: persona ")


def test_list_is_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the list is text."""
    assert main(["sensor", "--list", "--source", str(tmp_path)]) == 0

    assert "oximeter  person 1 (persona)" in capsys.readouterr().out


def test_a_dongle_serves_one_sensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More than one sensor for a dongle is refused."""
    assert main(["sensor", "--dongle", "usb:0", "--source", str(tmp_path)]) == 2

    assert "one sensor" in capsys.readouterr().err


def test_a_port_that_cannot_be_opened_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that cannot be opened gives one line, without a traceback."""
    port = f"file:{tmp_path / 'nothing'}"
    assert main(["sensor", "--controller", port, "--source", str(tmp_path)]) == 1

    assert "the port cannot be used (FileNotFoundError)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--list", "--dongle", "usb:0"],
        ["--list", "--fault", "explode"],
        ["--list", "--fault", "toaster:drop@1"],
        ["--list", "--sensors", "strap,strap"],
        ["--list", "--sensors", "toaster"],
        ["--list", "--passkey", "12345"],
        ["--list", "--speed", "0"],
        ["--list", "--history", "1000"],
        ["--list", "--subjects", "0"],
    ],
)
def test_wrong_arguments_of_sensors_are_refused(arguments: list[str]) -> None:
    """Wrong arguments are refused."""
    with pytest.raises(SystemExit) as raised:
        main(["sensor", *arguments])

    assert raised.value.code == 2


def test_a_fault_is_for_all_sensors_or_for_one_kind() -> None:
    """A fault applies to the kind of sensor before its colon, and otherwise to all."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    options = parser.parse_args(
        ["sensor", "--list", "--fault", "drop@1", "--fault", "meter:busy@2"]
    )

    assert options_of(options).faults == {
        SensorKind.STRAP: ("drop@1",),
        SensorKind.METER: ("drop@1", "busy@2"),
        SensorKind.CGM: ("drop@1",),
        SensorKind.OXIMETER: ("drop@1",),
    }
