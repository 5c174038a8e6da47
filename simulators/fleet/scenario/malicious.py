"""What a malicious or broken gateway sends. Pure: randomness is an argument."""

import random
from typing import Final

from simulators.fleet.scenario.plan import Act
from wire.envelope import Block, Body, Envelope, encode_envelope
from wire.quantities import Code

NAMELESS: Final = frozenset(
    {
        Act.CORRUPT,
        Act.GARBAGE,
        Act.FROM_A_LATER_VERSION,
        Act.FOREIGN_HANDLE,
        Act.FOREIGN_TOPIC,
    }
)
"""Acts that send no identity that ingest accepts, so that no receipt will cover the envelope."""

_TWO_HOURS_MS: Final = 7_200_000


def body_of(act: Act, honest: Body, *, foreign_handle: bytes) -> Body:
    """Return a body that ingest must refuse, derived from an honest one."""
    block = honest.blocks[0]
    if act is Act.FOREIGN_HANDLE:
        return Body(foreign_handle, honest.lease, honest.blocks)
    if act is Act.IMPLAUSIBLE:
        block = Block(block.quantity, block.start_ms, 1, (32_000).to_bytes(2, "little"))
    elif act is Act.FROM_THE_FUTURE:
        ahead = block.start_ms + _TWO_HOURS_MS
        block = Block(block.quantity, ahead, block.step, block.values)
    elif act is Act.NOT_PERMITTED:
        block = Block(Code.BODY_WEIGHT, block.start_ms, 1, (7000).to_bytes(2, "little"))
    elif act is Act.TOO_FINE:
        # Two values in one interval, the second of them between the instants of the policy.
        block = Block(block.quantity, block.start_ms, 1, block.values[:2] * 2)
    return Body(honest.handle, honest.lease, [block])


def corrupted(envelope: Envelope, *, draw: random.Random) -> bytes:
    """Return *envelope* with one bit of its sealed body changed."""
    sealed = bytearray(envelope.sealed)
    sealed[draw.randrange(len(sealed))] ^= 1 << draw.randrange(8)
    return encode_envelope(
        Envelope(
            envelope.version,
            envelope.suite,
            envelope.spool_id,
            envelope.sequence,
            envelope.wrapped_key,
            bytes(sealed),
        )
    )


def garbage(*, draw: random.Random) -> bytes:
    """Return random bytes that are not an envelope in any form."""
    # 0xc1 is the one byte that msgpack never uses, and JSON never begins with it.
    return b"\xc1" + draw.randbytes(draw.randrange(1, 400))


def from_a_later_version() -> bytes:
    """Return an envelope of a version that does not exist yet."""
    return encode_envelope(Envelope(9, 1, bytes(16), 1, bytes(80), bytes(64)))
