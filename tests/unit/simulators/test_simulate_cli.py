"""`vitalveil simulate`."""

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
    """Each file is read or passed over, and each of its rows is a reading or refused."""
    assert main(["replay", "--source", str(source), "--list", "--json"]) == 0

    listing = json.loads(capsys.readouterr().out)
    [entry] = listing["files"]
    assert listing["passed_over"] == [{"path": "b.csv.gz", "reason": "damaged"}]
    assert (entry["path"], entry["format"]) == ("a.csv", "polar_h10")
    assert (entry["unit"], entry["zone"], entry["language"]) == ("/min, ms", "UTC", None)
    assert (entry["rows"], entry["readings"], entry["hours"]) == (600, 1198, 0.17)
    assert entry["quantities"] == {"heart_rate": 599, "rr_interval": 599}
    assert entry["refused"] == {"bad_time": 1}
    assert entry["first_lines"] == {"bad_time": 601}
    assert "yours" in entry["attribution"]


def test_list_is_readable(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the list is text."""
    assert main(["replay", "--source", str(source), "--list"]) == 0

    out = capsys.readouterr().out
    assert "599 heart_rate" in out
    assert "1 refused: bad_time, first in line 601" in out
    assert "not read: b.csv.gz (damaged)" in out


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
    assert "not read: b.csv.gz (damaged)" in captured.err


def test_screen_says_when_people_are_invented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output says when people are invented."""
    assert main(["replay", "--source", str(tmp_path), "--people", "--json"]) == 0

    captured = capsys.readouterr()
    assert captured.err.startswith("source: persona ")
    assert {person["origin"] for person in json.loads(captured.out)["rows"]} == {"persona"}


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


@pytest.mark.parametrize("what", [["--people"], ["--print"], ["--agents", "a.sock"]])
def test_refused_files_are_not_replaced_by_invented_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: list[str]
) -> None:
    """If no file of a named folder is read, the command says why and plays no one."""
    (tmp_path / "mine.csv").write_bytes(b"when,what\n1,2\n")
    (tmp_path / "open.csv").write_text(
        "x\nDevice Timestamp,Record Type,Historic Glucose mg/dL,Scan Glucose mg/dL\n"
        "01-06-2025 00:00,0,100,\n"
    )
    assert main(["replay", "--source", str(tmp_path), *what]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "not read: mine.csv (unknown_format)" in captured.err
    assert "not read: open.csv (date_order_not_said, line 3) Say which with --date-order" in (
        captured.err
    )


def test_list_says_why_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason and the line are in the JSON; nothing readable is exit code 1."""
    (tmp_path / "open.csv").write_text(
        "x\nDevice Timestamp,Record Type,Historic Glucose mg/dL,Scan Glucose mg/dL\n"
        "01-06-2025 00:00,0,100,\n"
    )
    command = ["replay", "--source", str(tmp_path), "--list", "--json"]
    assert main(command) == 1
    refused = json.loads(capsys.readouterr().out)
    assert main([*command, "--date-order", "day-first", "--zone", "Europe/Berlin"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["files"]

    assert refused == {
        "files": [],
        "passed_over": [{"path": "open.csv", "reason": "date_order_not_said", "line": 3}],
    }
    assert (entry["date_order"], entry["zone"]) == ("day-first", "Europe/Berlin")


def test_file_of_refused_readings_alone_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is known and has no usable reading is listed, and nothing was read."""
    (tmp_path / "a.csv").write_bytes(b"epoch_s,hr_bpm,rr_ms\nx,60,1000\n")
    assert main(["replay", "--source", str(tmp_path), "--list", "--json"]) == 1

    [entry] = json.loads(capsys.readouterr().out)["files"]
    assert (entry["readings"], entry["refused"]) == (0, {"bad_time": 1})
