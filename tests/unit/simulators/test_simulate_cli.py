"""The command `vitalveil simulate`."""

import json
from pathlib import Path

import pytest

from simulators.cli import main

STRAP = b"epoch_s,hr_bpm,rr_ms\n" + b"".join(b"%d.0,60,1000\n" % n for n in range(1, 600))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one recording and one damaged file."""
    (tmp_path / "a.csv").write_bytes(STRAP + b"what,is,this\n")
    (tmp_path / "b.csv.gz").write_bytes(b"no gzip")
    return tmp_path


def test_list_tells_what_is_there(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The list has kind, length, rows, missing share and attribution of each recording, and the
    damaged files.
    """
    assert main(["replay", "--source", str(source), "--list", "--json"]) == 0

    listing = json.loads(capsys.readouterr().out)
    [entry] = listing["recordings"]
    assert listing["damaged_files"] == 1
    assert entry["kind"] == "polar_h10"
    assert entry["rows"] == 600
    assert entry["samples"] == {"heart_rate": 599, "rr_interval": 599}
    assert entry["bad_rows"] == {"bad_time": 1}
    assert entry["missing_share"] == pytest.approx(1 / 600, abs=1e-4)
    assert "yours" in entry["attribution"]


def test_list_is_readable(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the list is text."""
    assert main(["replay", "--source", str(source), "--list"]) == 0

    out = capsys.readouterr().out
    assert "599 heart_rate" in out
    assert "1 file(s) damaged or empty, left out" in out


def test_list_of_nothing_is_an_error(tmp_path: Path) -> None:
    """If there is no recording, the exit code says so."""
    assert main(["replay", "--source", str(tmp_path), "--list"]) == 1


def test_print_shows_samples_in_order(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each printed line is a sample in order, limited by the duration."""
    arguments = ["--print", "--duration", "10", "--speed", "1", "--subjects", "1"]
    assert main(["replay", "--source", str(source), *arguments]) == 0

    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["record"] for line in lines] == list(range(1, 23))
    assert max(line["offset_ms"] for line in lines) == 10_000
    assert captured.err.startswith("source: recorded ")
    assert "1 file(s) damaged, left out" in captured.err


def test_screen_says_when_people_are_invented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output says when people are invented."""
    assert main(["replay", "--source", str(tmp_path), "--people", "--json"]) == 0

    captured = capsys.readouterr()
    assert captured.err.startswith("source: persona ")
    assert {person["origin"] for person in json.loads(captured.out)} == {"persona"}


def test_people_are_readable(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If there are more people than recordings, the list names the invented ones."""
    assert main(["replay", "--source", str(source), "--people", "--subjects", "2"]) == 0

    captured = capsys.readouterr()
    assert captured.err.startswith("source: recorded+persona ")
    assert "person 1  recorded  Polar H10" in captured.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speed", "0"],
        ["--speed", "nan"],
        ["--speed", "fast"],
        ["--duration", "-1"],
        ["--subjects", "0"],
        ["--agents", ","],
        ["--agents", "a,a"],
        ["--list", "--print"],
        ["--unknown"],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    """Wrong arguments are refused."""
    with pytest.raises(SystemExit) as raised:
        main(["replay", *arguments])

    assert raised.value.code == 2


def test_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A source that does not exist is refused, and not replaced by invented people."""
    assert main(["replay", "--source", str(tmp_path / "gone"), "--people"]) == 2


def test_nothing_to_do_is_refused(source: Path) -> None:
    """Without agents and without a listing the command is refused."""
    assert main(["replay", "--source", str(source)]) == 2
