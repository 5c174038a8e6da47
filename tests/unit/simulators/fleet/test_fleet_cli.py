"""The command line of a fleet: an impossible run is refused with the remedy."""

import socket
import threading
from pathlib import Path

import pytest

from simulators.cli import main
from simulators.fleet.errors import RosterError
from simulators.fleet.scenario import roster
from simulators.fleet.scenario.roster import Member
from simulators.stack.scrape import scrape

_SCENARIO = """\
name: x
agents: 4
every_s: 5
quantities: {heart_rate: 1}
phases: [{name: a, duration_s: 2}]
limits: [lost=0]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """The file of a scenario."""
    path = tmp_path / "scenario.yaml"
    path.write_text(_SCENARIO)
    return str(path)


def test_a_scenario_is_checked_without_a_system(
    scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    `--check` reads and plans a scenario without a system, and prints a digest that differs between
    plans.
    """
    assert main(["fleet", scenario, "--check"]) == 0
    one = capsys.readouterr().out
    assert main(["fleet", scenario, "--check", "--seed", "2"]) == 0
    assert "4 agents" in one
    assert one != capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--with-stack"),
        (["--fail-if", "p99>1"], "p99<=2s"),
        (["--fail-if", "p99@night>1s"], "no such phase. Its phases are a"),
        (["--agents", "0"], "agents"),
        (["--seed", "-1"], "seed"),
        (["--scale-time", "0"], "duration_s"),
        (["--scale-time", "nan"], "duration_s"),
        (["--json", "/nowhere/report.json"], "cannot be written"),
        (["--html", "/"], "cannot be written"),
        (["--agents", "90000"], "ulimit"),
        (["--replay", "nothing.npz"], "cannot be read"),
        (["--broker", "127.0.0.1:1", "--roster", "nothing.jsonl"], "roster"),
    ],
)
def test_what_cannot_run_is_refused(
    scenario: str,
    more: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An impossible run gives exit code 2 and one line with the remedy, without a traceback."""
    monkeypatch.setattr("simulators.fleet.cli.raise_file_limit", lambda: 20_000)
    assert main(["fleet", scenario, *more]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--dsn", "host=127.0.0.1 port=9 dbname=x"], "The database did not answer"),
        (["--dsn", "no string of a connection"], "The database did not answer"),
        (["--ingest-port", "9"], "on port 9"),
    ],
)
def test_what_could_not_be_asked_afterwards_is_refused_before(
    scenario: str, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database or an ingest that does not answer is refused before the run."""
    path = tmp_path / "roster.jsonl"
    roster.write(path, [Member(f"{n:016x}", "/a", "s", "00") for n in range(4)])
    where = ["--broker", "127.0.0.1:9", "--roster", str(path)]
    assert main(["fleet", scenario, *where, *more]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-x\r\n", b"HTTP/1.0 200 OK\r\n\r\n{no: metrics}\n", b"HTTP/1.0 200 OK\r\n\r\n\xff"],
)
def test_somebody_else_at_the_port_of_ingest_is_nobody(said: bytes) -> None:
    """A foreign program on the port of ingest counts as no answer, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as line:
                line.recv(4096)
                line.sendall(said)

        answering = threading.Thread(target=answer)
        answering.start()
        assert scrape(server.getsockname()[1]) is None
        answering.join()


def test_a_report_that_can_be_written_is_not_there_before_the_run(
    scenario: str, tmp_path: Path
) -> None:
    """
    Checking that a report can be written leaves no empty file, and does not change an existing
    one.
    """
    new, old = tmp_path / "new.json", tmp_path / "old.html"
    old.write_text("old")
    assert main(["fleet", scenario, "--json", str(new), "--html", str(old)]) == 2
    assert not new.exists()
    assert old.read_text() == "old"


def test_time_can_be_stretched(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that is stretched by a factor has proportionally more to do."""
    main(["fleet", scenario, "--check", "--scale-time", "2"])
    assert "4 acts" in capsys.readouterr().out


def test_a_roster_survives_its_file(tmp_path: Path) -> None:
    """A roster that was written is read back equal."""
    members = [Member("0" * 16, "/a", "s", "h"), Member("1" * 16, "/b", "t", "i")]
    path = tmp_path / "roster.jsonl"
    roster.write(path, members)
    assert list(roster.read(path)) == members
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("data", [b"{}\n", b"no\n", b'{"agent": 1}\n', b"\xff\n"])
def test_what_is_no_roster_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file that is no roster is refused."""
    path = tmp_path / "roster.jsonl"
    path.write_bytes(data)
    with pytest.raises(RosterError):
        roster.read(path)
