"""`vitalveil demo`, run as a new user runs it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulators.people.people import DEFAULT_SOURCE
from simulators.stack.postgres import Postgres

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def _command(folder: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return a demo's command and environment; all its files are created in *folder*."""
    command = [sys.executable, "-m", "vitalveil", "demo", *arguments]
    return command, {**os.environ, "TMPDIR": str(folder)}


@pytest.fixture
def folder(run_folder: Path) -> Path:
    """An empty folder for the files of a demo."""
    made = Path(tempfile.mkdtemp(dir=run_folder))
    made.chmod(0o711)
    return made


def _demo(folder: Path, *arguments: str) -> dict[str, Any]:
    command, environ = _command(folder, *arguments, "--json")
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _check(report: dict[str, Any]) -> None:
    assert report["conserved"] is True
    assert (report["lost"], report["doubled"], report["in_flight"]) == (0, 0, 0)
    assert report["stored"] > 0
    assert report["published"] == (
        report["stored"] + report["purged"] + sum(report["refused"].values())
    )
    assert report["latency_ms"]["p99"] <= 1000
    withdrawal = report["withdrawal"]
    assert withdrawal["rows_after_commit"] == 0
    assert withdrawal["refused_after_ms"] <= 100
    assert withdrawal["agent_stopped_after_s"] <= 5


def _nothing_is_left(folder: Path) -> bool:
    """Tell whether the folder and the processes of a demo are gone."""
    running = [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cmdline", "status"])
        if any(str(folder) in word for word in process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
    return not running and not list(folder.iterdir())


def test_demo_with_invented_people(folder: Path, tmp_path: Path) -> None:
    """Without recordings the demo invents people, says so, and keeps every promise."""
    report = _demo(folder, "--duration", "6", "--agents", "2", "--source", str(tmp_path))
    _check(report)
    assert report["source"] == {"recorded": 0, "persona": 3}
    assert _nothing_is_left(folder)


@pytest.mark.skipif(
    not DEFAULT_SOURCE.exists(), reason="the recordings of shared/data are not at hand"
)
def test_demo_with_recordings(folder: Path) -> None:
    """With recordings the demo plays them, and keeps every promise."""
    report = _demo(folder, "--duration", "6", "--agents", "3")
    _check(report)
    assert report["source"] == {"recorded": 4, "persona": 0}
    assert _nothing_is_left(folder)


def test_demo_on_a_server_that_is_given(folder: Path, run_folder: Path, tmp_path: Path) -> None:
    """
    With --dsn the demo uses that server, twice in a row, and removes everything that it created
    there.
    """
    server = Postgres(folder=run_folder / "given")
    server.start()
    try:
        for _ in range(2):
            played = ["--duration", "6", "--agents", "1", "--source", str(tmp_path)]
            _check(_demo(folder, *played, "--dsn", server.dsn()))
        assert _nothing_is_left(folder)
    finally:
        server.stop()


def _playing(folder: Path, tmp_path: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a demo; once it plays, return its process and the file of its output."""
    command, environ = _command(folder, "--duration", "60", "--source", str(tmp_path))
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 60
    while "played" not in said.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process, said


def test_demo_stopped_from_outside_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """SIGTERM during a demo ends every child process and deletes every file."""
    process, _ = _playing(folder, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    deadline = time.monotonic() + 10
    while not _nothing_is_left(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("program", ["mosquitto", "ingest"])
def test_demo_says_which_program_has_ended(folder: Path, tmp_path: Path, program: str) -> None:
    """
    If a program ends by itself, the demo stops and names it, instead of reporting that nothing was
    lost.
    """
    process, said = _playing(folder, tmp_path)
    for child in psutil.Process(process.pid).children():
        if any(word.endswith(program) for word in child.cmdline()):
            child.kill()
    assert process.wait(60) == 2
    assert f"vitalveil demo: {program} has ended (-9); its log ends: " in said.read_text()
    assert _nothing_is_left(folder)


def test_demo_without_room_says_so(folder: Path) -> None:
    """A demo without enough disk space says so before it creates anything."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a disk can be mounted by root alone")
    try:
        command, environ = _command(folder)
        done = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "MB free" in done.stderr
        assert not list(folder.iterdir())
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("step", ["making keys", "starting trust", "played"])
def test_ctrl_c_at_any_step_leaves_nothing(folder: Path, tmp_path: Path, step: str) -> None:
    """Repeated Ctrl-C at any step leaves one sentence, no process and no file."""
    command, environ = _command(folder, "--duration", "60", "--source", str(tmp_path))
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            # Restored, because a test that runs in the background may inherit an ignored SIGINT.
            ["env", "--default-signal=INT", *command],
            cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while step not in said.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    assert process.wait(30) == 130
    text = said.read_text()
    assert text.endswith("vitalveil demo: stopped, and everything was removed\n")
    assert "did not start" not in text
    # Python prints and ignores an exception that is raised in a fork handler; the next Ctrl-C ends
    # the demo.
    assert text.count("Traceback") == text.count("Exception ignored in")
    assert _nothing_is_left(folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--duration", "1"], "--duration"),
        (["--duration", "nan"], "--duration"),
        (["--speed", "nan"], "--speed"),
        (["--agents", "51"], "simulate fleet"),
        (["--dsn", "hunter2"], "not a connection string"),
        (["--source", "/nowhere/at/all"], "There is no folder"),
        (["--dsn", "host=127.0.0.1 port=1 dbname=x user=x password=hunter2"], "database server"),
    ],
    ids=[
        "too short",
        "for no time",
        "at no speed",
        "too many",
        "no dsn",
        "no such folder",
        "no such server",
    ],
)
def test_demo_says_what_is_wrong(folder: Path, arguments: list[str], said: str) -> None:
    """
    A wrong argument gives one sentence and exit code 2, never a traceback and never a
    password.
    """
    command, environ = _command(folder, *arguments)
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert _nothing_is_left(folder)
