"""The command `vitalveil` when it is interrupted, for any sub-command."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from vitalveil import cli


def test_a_reader_who_has_seen_enough_is_no_failure() -> None:
    """If the reader closes the pipe, as `| head` does, the command ends without an error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vitalveil", "schema"],
            stdout=writing, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C gives one sentence and exit code 130."""

    def interrupted(_: Sequence[str]) -> int:
        raise KeyboardInterrupt

    assert cli._run("ingest", interrupted, []) == 130
    assert capsys.readouterr().err == "vitalveil ingest: stopped\n"
