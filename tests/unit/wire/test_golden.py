"""Recorded messages of earlier versions are read with their original meaning."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.lease.leases import Leases
from ingest.storage.quarantine import unseal
from tests.golden.record import (
    AGENT,
    HERE,
    INGEST_KEY,
    LEASE_KEY,
    TRUST_KEY,
    Shelf,
    padded_leases,
    proven_receipts,
)
from wire import agreement, envelope, json_envelope, lease, receipt, state, topics
from wire.envelope import Body, Envelope
from wire.lease import Lease
from wire.policy import Rule
from wire.receipt import SpoolReceipt
from wire.sealing import Opener
from wire.state import State

FOLDERS = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name[0].isdigit())


def cases(kind: str) -> list[Any]:
    """Return every message of *kind*, of every version."""
    return [
        pytest.param(message, id=f"{folder.name}: {message['name']}")
        for folder in FOLDERS
        if (folder / f"{kind}.json").exists()
        for message in _read(folder / f"{kind}.json")
    ]


def _read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_there_are_golden_messages() -> None:
    """
    The messages of the first released version are recorded, so that the tests below test
    something.
    """
    assert "0.1.0" in [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("message", cases("sealed_envelopes"))
def test_a_sealed_envelope_of_before_is_opened(message: dict[str, Any]) -> None:
    """Outer and inner part of a recorded sealed envelope are read."""
    outside, body, inside = message["means"]
    found = envelope.decode_envelope(bytes.fromhex(message["bytes"]))

    assert found == msgspec.convert(outside, Envelope)
    assert Opener([INGEST_KEY]).open_bytes(AGENT, found) == msgspec.convert(inside, bytes)
    assert Opener([INGEST_KEY]).open(AGENT, found) == msgspec.convert(body, Body)


@pytest.mark.parametrize("message", cases("json_envelopes"))
def test_a_json_envelope_of_before_is_read(message: dict[str, Any]) -> None:
    """A recorded JSON envelope is read, from the broker and from quarantine."""
    spool_id, sequence, body = message["means"]
    data = bytes.fromhex(message["bytes"])
    found = json_envelope.decode(data)

    assert found.spool_id == msgspec.convert(spool_id, bytes)
    assert found.sequence == sequence
    assert found.body == msgspec.convert(body, Body)
    assert unseal(bytes.fromhex(message["quarantined"]), INGEST_KEY) == data


@pytest.mark.parametrize("message", cases("receipts"))
def test_a_receipt_of_before_is_read(message: dict[str, Any]) -> None:
    """A recorded receipt of the first form is read."""
    found = receipt.decode(bytes.fromhex(message["bytes"]))
    assert found.spools == msgspec.convert(message["means"], list[SpoolReceipt])


@pytest.mark.parametrize("message", [*proven_receipts(), *cases("proven_receipts")])
def test_a_proven_receipt_of_before_is_believed(message: dict[str, Any]) -> None:
    """A recorded proven receipt is accepted, and the present version is recorded."""
    shared = agreement.of_agent(LEASE_KEY, INGEST_KEY.public_key().public_bytes_raw(), AGENT)
    found = receipt.decode_proven(bytes.fromhex(message["bytes"]), [shared])
    assert found == msgspec.convert(message["means"], list[SpoolReceipt])


@pytest.mark.parametrize("message", [*padded_leases(), *cases("padded_leases")])
def test_a_padded_lease_of_before_is_read(message: dict[str, Any]) -> None:
    """A recorded padded lease is read, and the present version is recorded."""
    sealed, public = bytes.fromhex(message["bytes"]), TRUST_KEY.public_key()
    found = lease.decode(sealed, agent=AGENT, trust_key=public, agent_key=LEASE_KEY)
    assert found == msgspec.convert(message["means"], Lease)


@pytest.mark.parametrize("message", cases("leases"))
def test_a_lease_of_before_is_read(message: dict[str, Any]) -> None:
    """A recorded lease is read, from the broker and from the agent's disk."""
    meant = msgspec.convert(message["means"], Lease)
    sealed = bytes.fromhex(message["bytes"])
    public = TRUST_KEY.public_key()
    assert lease.decode(sealed, agent=AGENT, trust_key=public, agent_key=LEASE_KEY) == meant

    lease_store = Shelf()
    lease_store.data = bytes.fromhex(message["kept"])
    held = Leases(agent=AGENT, trust_key=public, agent_key=LEASE_KEY, lease_store=lease_store)
    held.recall()
    assert held.held == meant


@pytest.mark.parametrize("message", cases("states"))
def test_a_state_of_before_is_read(message: dict[str, Any]) -> None:
    """A recorded state is read, and missing fields have their defaults."""
    found = state.decode(bytes.fromhex(message["bytes"]))
    assert found == msgspec.convert(message["means"], State)


@pytest.mark.parametrize("message", cases("policies"))
def test_a_rule_of_before_is_read(message: dict[str, Any]) -> None:
    """A recorded rule is read."""
    data = bytes.fromhex(message["bytes"])
    assert msgspec.msgpack.decode(data, type=Rule) == msgspec.convert(message["means"], Rule)


@pytest.mark.parametrize("message", cases("topics"))
def test_a_topic_of_before_is_the_same(message: dict[str, Any]) -> None:
    """
    The topics of an agent equal the recorded ones, because access rules of brokers name
    them.
    """
    of = {
        "observations": topics.observations,
        "receipt": topics.receipt,
        "lease": topics.lease,
        "state": topics.state,
    }
    topic = bytes.fromhex(message["bytes"]).decode()
    assert of[message["name"]](message["means"]) == topic
