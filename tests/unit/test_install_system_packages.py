"""scripts/install-system-packages, with an apt-get that installs nothing."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

_SCRIPT: Final = Path(__file__).parents[2] / "scripts/install-system-packages"
_POLICY: Final = "/usr/sbin/policy-rc.d"


class _Machine:
    """A machine whose apt-get runs *apt*, and whose policy is a file of this test."""

    def __init__(self, folder: Path, apt: str) -> None:
        self.policy = folder / "policy-rc.d"
        self.begun = folder / "begun"
        self._script = folder / "script"
        text = _SCRIPT.read_text()
        assert _POLICY in text
        self._script.write_text(text.replace(_POLICY, str(self.policy)))
        programs = folder / "bin"
        programs.mkdir()
        for name, body in (("apt-get", f'touch "{self.begun}"; {apt}'), ("sudo", 'exec "$@"')):
            (programs / name).write_text(f"#!/bin/sh\n{body}\n")
            (programs / name).chmod(0o755)
        self._path = f"{programs}:{os.environ['PATH']}"

    def install(self, *programs: str) -> subprocess.Popen[str]:
        """Start to install *programs*."""
        return subprocess.Popen(
            ["bash", str(self._script), *programs], env={"PATH": self._path}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def test_what_is_there_is_not_installed(tmp_path: Path) -> None:
    """If everything is installed, neither apt-get nor sudo is called."""
    machine = _Machine(tmp_path, "true")
    process = machine.install("sh")
    assert (process.wait(60), machine.begun.exists()) == (0, False)


@pytest.mark.parametrize(("apt", "exit_code"), [("true", 0), ("exit 100", 100)])
def test_no_service_starts_meanwhile_and_all_may_afterwards(
    tmp_path: Path, apt: str, exit_code: int
) -> None:
    """The policy that keeps services from starting exists while apt-get runs, and only then."""
    policy = tmp_path / "policy-rc.d"
    machine = _Machine(tmp_path, f'sh "{policy}"; [ $? -eq 101 ] || exit 9; {apt}')
    process = machine.install("no-such-program")
    assert process.wait(60) == exit_code
    assert not machine.policy.exists()


def test_a_policy_that_was_there_stays(tmp_path: Path) -> None:
    """An existing policy of the machine is kept."""
    machine = _Machine(tmp_path, "true")
    machine.policy.write_text("#!/bin/sh\nexit 101\n")
    assert machine.install("no-such-program").wait(60) == 0
    assert machine.policy.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cut_off_it_leaves_no_policy(tmp_path: Path, number: signal.Signals) -> None:
    """
    An interrupted run removes its policy, which would otherwise keep every service from
    starting.
    """
    machine = _Machine(tmp_path, "exec sleep 60")
    process = machine.install("no-such-program")
    deadline = time.monotonic() + 60
    while not machine.begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert machine.policy.exists()
    os.killpg(process.pid, number)
    # bash handles a signal after the command that it waits for has ended.
    assert process.wait(90) != 0
    assert not machine.policy.exists()
