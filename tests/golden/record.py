"""
Records the messages of this version on the wire, for later versions to read.

Run it once for each released version, before the wire changes: `python -m tests.golden.record`. An
existing folder is never overwritten.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.lease.leases import Leases
from ingest.storage.quarantine import sealer_to
from runtime.version import VERSION
from wire import agreement, envelope, json_envelope, lease, receipt, sealing, state, topics
from wire.agreement import Agreement
from wire.envelope import MAX_SEQUENCE, Body, pack_block
from wire.lease import Grant, Lease
from wire.policy import Aggregate, Rule
from wire.quantities import MISSING
from wire.receipt import SpoolReceipt
from wire.state import SpoolState, State

HERE: Final = Path(__file__).parent

# Keys for these files alone. No program ever uses them.
TRUST_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
INGEST_KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
LEASE_KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
SESSION_KEY: Final = bytes(range(96, 128))

AGENT: Final = "0123456789abcdef"
SPOOL_ID: Final = bytes.fromhex("00112233445566778899aabbccddeeff")
HANDLE: Final = bytes.fromhex("ffeeddccbbaa99887766554433221100")
START_MS: Final = 1_790_000_000_000

Message = dict[str, Any]


class Shelf:
    """The file that holds a lease."""

    data: bytes | None = None

    def read(self) -> bytes | None:
        """Return the data that were written last."""
        return self.data

    def write(self, data: bytes) -> None:
        """Replace the data."""
        self.data = data


def bodies() -> dict[str, Body]:
    """Return one body for each form that a block can have."""
    minute = range(START_MS, START_MS + 60_000, 1000)
    heart = pack_block(1, list(minute), [60 + n % 30 for n in range(60)])
    uneven = [START_MS, START_MS + 1500, START_MS + 7_000_000]
    return {
        "regular, narrow": Body(HANDLE, 7, [heart]),
        "irregular, wide, with flags": Body(
            HANDLE, 4_294_967_295, [pack_block(2, uneven, [800, 30_000, MISSING], [0, 4, 255])]
        ),
        "two quantities": Body(HANDLE, 0, [heart, pack_block(3, [START_MS], [55])]),
    }


def sealed_envelopes() -> list[Message]:
    """Return sealed envelopes: HPKE draws a key, so that no two recordings are the same."""
    sealer = sealing.Sealer(
        agent=AGENT,
        spool_id=SPOOL_ID,
        session_key=SESSION_KEY,
        ingest_key=INGEST_KEY.public_key(),
    )
    found = []
    for sequence, (name, body) in zip((1, 2, (1 << 62) - 1), bodies().items(), strict=True):
        sealed = sealer.seal(body, sequence=sequence)
        found.append(
            _message(
                name, envelope.encode_envelope(sealed), [sealed, body, envelope.encode_body(body)]
            )
        )
    return found


def json_envelopes() -> list[Message]:
    """Return JSON envelopes, and their form in quarantine."""
    found = []
    quarantined = sealer_to(INGEST_KEY.public_key())
    for sequence, (name, body) in enumerate(bodies().items(), start=1):
        data = json_envelope.encode(SPOOL_ID, sequence, body)
        found.append(
            _message(name, data, [SPOOL_ID, sequence, body])
            | {"quarantined": quarantined(data).hex()}
        )
    return found


def receipts() -> list[Message]:
    """Return receipts."""
    cases = {
        "of nothing": [],
        "of a spool": [SpoolReceipt(SPOOL_ID, 5)],
        "with ranges": [SpoolReceipt(SPOOL_ID, 5, [(7, 8), (10, 10)]), SpoolReceipt(HANDLE, 0)],
        "as high as may be": [SpoolReceipt(SPOOL_ID, 0, [(1 << 40, MAX_SEQUENCE - 1)])],
    }
    return [_message(name, receipt.encode(spools), spools) for name, spools in cases.items()]


def proven_receipts() -> list[Message]:
    """Return receipts that ingest proves."""
    shared = _shared()
    spools = [SpoolReceipt(SPOOL_ID, 5, [(7, 8), (10, 10)]), SpoolReceipt(HANDLE, 0)]
    cases: dict[str, list[SpoolReceipt]] = {"of nothing": [], "with ranges": spools}
    return [
        _message(name, receipt.encode_proven(settled, [shared]), settled)
        for name, settled in cases.items()
    ]


def padded_leases() -> list[Message]:
    """Return a lease whose length reveals nothing."""
    one = Lease(AGENT, 7, START_MS, START_MS + 1, [Grant(HANDLE, [], [Rule(2)])])
    sealed = lease.encode(
        one, trust_key=TRUST_KEY, agent_key=LEASE_KEY.public_key(), multiple_bytes=1024
    )
    return [_message("padded", sealed, one)]


def leases() -> list[Message]:
    """Return sealed leases, and their form on an agent's disk."""
    rules = [Rule(1, 1, 60_000, 60_000, Aggregate.MEAN), Rule(2)]
    cases = {
        "of nobody": Lease(AGENT, 1, START_MS, START_MS + 86_400_000, []),
        "of two": Lease(
            AGENT,
            4_294_967_295,
            START_MS,
            START_MS + 1,
            [Grant(HANDLE, ["00:00:5E:00:53:01"], rules), Grant(SPOOL_ID, [], [])],
            256,
        ),
    }
    lease_store = Shelf()
    held = Leases(
        agent=AGENT, trust_key=TRUST_KEY.public_key(), agent_key=LEASE_KEY, lease_store=lease_store
    )
    found = []
    for name, one in cases.items():
        sealed = lease.encode(one, trust_key=TRUST_KEY, agent_key=LEASE_KEY.public_key())
        held.offer(sealed)
        held.save()
        assert lease_store.data is not None
        found.append(_message(name, sealed, one) | {"kept": lease_store.data.hex()})
    return found


def states() -> list[Message]:
    """Return states."""
    spool = SpoolState(SPOOL_ID.hex(), 3, 2)
    cases = {
        "a will": State(False, VERSION, 7, False, [spool]),
        "online": State(
            True, VERSION, 7, True, [spool], {"measurements.kept": 12}, {"spool_bytes": 900}
        ),
        "without a spool": State(True, VERSION),
        "with a proof": State(
            True,
            VERSION,
            spools=[SpoolState(SPOOL_ID.hex(), 3, 2, state.prove_floor(SPOOL_ID, 3, _shared()))],
            reads=[state.RECEIPT_2, state.LEASE_2],
        ),
    }
    return [_message(name, state.encode(one), one) for name, one in cases.items()]


def _shared() -> Agreement:
    return agreement.of_agent(LEASE_KEY, INGEST_KEY.public_key().public_bytes_raw(), AGENT)


def policies() -> list[Message]:
    """Return rules, and observations that conform to them."""
    cases = {
        "the finest": Rule(2),
        "means of a minute": Rule(1, 1, 60_000, 60_000, Aggregate.MEAN),
        "coarse": Rule(65_535, 32_767, 1 << 40, 1 << 20, Aggregate.LAST),
    }
    return [_message(name, msgspec.msgpack.encode(one), one) for name, one in cases.items()]


def all_topics() -> list[Message]:
    """Return the topics of an agent."""
    names = {
        "observations": topics.observations(AGENT),
        "receipt": topics.receipt(AGENT),
        "lease": topics.lease(AGENT),
        "state": topics.state(AGENT),
    }
    return [_message(name, topic.encode(), AGENT) for name, topic in names.items()]


def _message(name: str, data: bytes, means: Any) -> Message:
    return {"name": name, "bytes": data.hex(), "means": msgspec.to_builtins(means)}


def main() -> int:
    """Write the folder of this version."""
    folder = HERE / VERSION
    folder.mkdir()
    for name, messages in {
        "sealed_envelopes": sealed_envelopes(),
        "json_envelopes": json_envelopes(),
        "receipts": receipts(),
        "proven_receipts": proven_receipts(),
        "leases": leases(),
        "padded_leases": padded_leases(),
        "states": states(),
        "policies": policies(),
        "topics": all_topics(),
    }.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(messages, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
