"""A child process of the stack that is killed as by a power cut."""

import sys
from pathlib import Path

from simulators.stack.child import Child

_PARENT = """\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def _runs(pid: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_it_started_in_a_session_of_its_own_ends_with_it(tmp_path: Path) -> None:
    """
    No process of a killed server continues to write, or holds resources that the next server
    needs.
    """
    log = tmp_path / "log"
    child = Child("parent", [sys.executable, "-c", _PARENT], log=log)
    child.wait_until(lambda: log.read_text().endswith("\n"))
    started = log.read_text().strip()
    assert _runs(started)
    child.kill()
    assert not _runs(started)
