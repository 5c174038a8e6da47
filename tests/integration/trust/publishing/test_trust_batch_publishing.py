"""A batch publishes leases by itself, beside the daemon or while the broker is away."""

import asyncio
import io
import json
import subprocess
import sys

import pytest

from runtime.settings import BrokerSettings
from simulators.stack.broker import Mosquitto
from simulators.stack.child import free_port
from simulators.stack.scrape import is_ready
from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.pki import Certificates
from tests.fixtures.vault import Office
from tests.support.publishing import ROOT, daemon, write_settings
from tests.support.retained_leases import measured_at_home, next_lease, retained
from trust.cli import batch
from trust.composition import App

pytestmark = [pytest.mark.database, pytest.mark.broker]


def test_batch_beside_the_daemon(office: Office, trust_broker: BrokerSettings) -> None:
    """
    A batch beside a daemon answers each line, and neither disconnects the other from the
    broker.
    """
    lines = [
        ["policy", "load", "--first", str(ROOT / "trust" / "policies" / "demo.yaml")],
        ["subject", "add", "--name", "Ada Canary"],
        ["subject", "add", "--nom", "Ada Canary"],
    ]
    with daemon(office, trust_broker) as port:
        done = subprocess.run(
            [
                sys.executable, "-m", "vitalveil", "trust", "batch",
                "--config", str(office.folder / "trust.toml"),
            ],
            input="\n".join(map(json.dumps, lines)) + "\nnot json\n",
            capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
        )  # fmt: skip
        assert is_ready(port)

    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["ok"] for reply in replies] == [True, True, False, False]
    assert "Canary" not in done.stdout + done.stderr
    assert done.returncode == 1


async def test_batch_publishes_by_itself(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """Without a daemon a batch has published all leases when its input ends."""
    office.load_policy()
    subject = office.add_subject()
    agent, bundle = office.enrol()
    line = json.dumps(
        [
            "decision", "record", "--subject", subject, "--purpose", "home-monitoring@1",
            "--agent", agent, "--binding", "C0:FF:EE:00:00:01", *INVENTED_YES,
        ]
    )  # fmt: skip
    app = App(office.with_broker(trust_broker))
    replies: list[str] = []

    refused = await batch.run(app, lines=io.StringIO(f"{line}\n\n[1]\n"), out=replies.append)
    app.close()

    assert refused == 1
    assert [json.loads(reply)["ok"] for reply in replies] == [True, False]
    leases = retained(broker, certificates, agent, bundle)
    assert (await next_lease(leases)).version == 1
    await leases.aclose()


async def test_batch_survives_an_absent_broker(
    office: Office, broker: Mosquitto, trust_broker: BrokerSettings
) -> None:
    """Without the broker a batch still answers each line; the leases wait for the daemon."""
    broker.kill()
    subject, _, _ = measured_at_home(office)
    app = App(office.with_broker(trust_broker))
    replies: list[str] = []
    line = json.dumps(
        ["decision", "withdraw", "--subject", subject, "--purpose", "home-monitoring"]
    )

    refused = await batch.run(app, lines=io.StringIO(line), out=replies.append)
    app.close()

    assert (refused, json.loads(replies[0])["ok"]) == (0, True)
    assert office.vault.fetch("SELECT published_version, lease_version FROM vault.agents") == [
        (0, 2)
    ]


def _refuse_withdrawals(office: Office) -> None:
    office.vault.execute(
        "ALTER TABLE vault.decisions ADD CHECK (position('withdrawn'::bytea IN document) = 0)"
    )


async def test_a_withdrawal_that_cannot_be_recorded_is_published(
    office: Office, broker: Mosquitto, certificates: Certificates, trust_broker: BrokerSettings
) -> None:
    """
    If a withdrawal cannot be recorded, the command fails, but the agent gets its new lease at
    once.
    """
    subject, agent, bundle = measured_at_home(office)
    _refuse_withdrawals(office)
    configuration = write_settings(office, trust_broker, free_port())

    done = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable, "-m", "vitalveil", "trust", "--config", str(configuration),
            "decision", "withdraw", "--subject", subject, "--purpose", "home-monitoring",
        ],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip

    assert done.returncode == 1
    assert "could not be recorded" in done.stderr
    leases = retained(broker, certificates, agent, bundle)
    assert (await next_lease(leases, above=1)).grants == []
    await leases.aclose()


def test_a_batch_publishes_a_withdrawal_that_cannot_be_recorded(office: Office) -> None:
    """A batch also publishes the lease of a withdrawal that cannot be recorded."""
    subject, _, _ = measured_at_home(office)
    _refuse_withdrawals(office)
    line = ["decision", "withdraw", "--subject", subject, "--purpose", "home-monitoring"]

    reply, publish = batch.answer(office.app, json.dumps(line))

    assert not reply["ok"]
    assert "could not be recorded" in reply["error"]
    assert publish
