"""Trust killed at random moments: the state of the vault takes effect in the end."""

import contextlib
import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from simulators.stack.toml import format_toml
from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.vault import Office

pytestmark = [pytest.mark.database, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
ROUNDS = 12
MOST_ROUNDS = 120
SEED = 20261121


def settings_file(office: Office) -> Path:
    """Write the settings of *office*, without a broker."""
    path = office.folder / "trust.toml"
    path.write_text(
        format_toml(
            {
                "controller": office.settings.controller,
                "vault": {
                    "dsn": office.settings.vault.dsn,
                    "password_file": str(office.settings.vault.password_file),
                },
                "telemetry": {
                    "dsn": office.settings.telemetry.dsn,
                    "password_file": str(office.settings.telemetry.password_file),
                },
                "keys": {"folder": office.settings.keys.folder},
            }
        )
    )
    return path


def batch_killed_after(settings: Path, lines: list[str], *, answers: int, delay_s: float) -> None:
    """Pass *lines* to a batch, and kill it some time after a number of answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vitalveil", "trust", "batch", "--config", str(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout, contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.flush()
        for _ in range(answers):
            process.stdout.readline()
        killer = threading.Timer(delay_s, process.kill)
        killer.start()
        while process.stdout.readline():
            pass
        killer.cancel()
        process.kill()
    process.wait()


def test_what_the_vault_says_comes_true(office: Office) -> None:
    """After each kill, repair makes exactly the handles in force that have not ended."""
    office.load_policy()
    chance = random.Random(SEED)
    subject = office.add_subject()
    agents = [office.enrol() for _ in range(2)]
    settings = settings_file(office)
    purpose = ["--subject", subject, "--purpose", "home-monitoring@1"]
    cycle = [
        *(
            [
                "decision",
                "record",
                *purpose,
                "--agent",
                agent,
                "--binding",
                "C0:FF:EE:00:00:01",
                *INVENTED_YES,
            ]
            for agent, _ in agents
        ),
        ["decision", "withdraw", *purpose],
    ]
    # Fewer bytes than a pipe holds; otherwise both sides would wait for each other.
    lines = [json.dumps(argv) for argv in cycle * 30]
    interrupted = 0

    for number in range(MOST_ROUNDS):
        if number >= ROUNDS and interrupted:
            break
        batch_killed_after(
            settings, lines, answers=chance.randrange(1, 6), delay_s=chance.uniform(0, 0.02)
        )
        interrupted += len(
            office.vault.fetch("SELECT agent FROM vault.agents WHERE applied < wanted")
        )
        office.app.reconciler.reconcile([agent for agent, _ in agents])

        in_force = office.telemetry.fetch(
            "SELECT DISTINCT handle FROM vv.permissions WHERE withdrawn_at IS NULL ORDER BY 1"
        )
        assert in_force == office.vault.fetch(
            "SELECT handle FROM vault.handles WHERE ended_at IS NULL ORDER BY 1"
        )
        leased = {grant.handle for agent in agents for grant in office.lease(*agent).grants}
        assert leased == {handle for (handle,) in in_force}
        assert office.vault.fetch("SELECT agent, lease_version FROM vault.agents ORDER BY 1") == (
            office.telemetry.fetch(
                "SELECT agent, max(version) FROM vv.leases GROUP BY 1 ORDER BY 1"
            )
        )
    assert interrupted, "no round was cut off between the vault and what follows from it"
