"""The processor time and memory of a run's processes."""

import os
import subprocess
import sys

import psutil

from simulators.fleet.run.meter import Meter

_BUSY = "import sys; sum(range(10**7)); print(1, flush=True); sys.stdin.read()"


def test_what_an_ended_process_has_used_stays_used() -> None:
    """The processor time of a program never falls, even if its processes end."""
    with subprocess.Popen(
        [sys.executable, "-c", _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        meter = Meter({"it": [busy.pid], "us": [os.getpid()]})
        before = meter.read()
        busy.communicate()
    after = meter.read()
    assert before["it"].cpu_s > 0
    assert after["it"].cpu_s >= before["it"].cpu_s
    assert after["it"].rss_bytes == 0
    assert meter.highest["it"] > 0


def test_what_a_program_starts_counts_as_its_own() -> None:
    """The use of all child processes counts for the program."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_BUSY!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = Meter({"it": [parent.pid]}).read()["it"]
        itself = psutil.Process(parent.pid).cpu_times()
        parent.communicate()
    assert found.cpu_s > itself.user + itself.system
