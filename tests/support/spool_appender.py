"""A process that appends to a spool, forgets and purges until it is killed: `DIR [APPENDS]`."""

import asyncio
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.ports import Sealed
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.checkpoint import cursor_of
from wire.receipt import SpoolReceipt

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
SPOOL_ID = b"s" * 16
_HANDLE = b"h" * 16
_SENSOR = "C0:FF:EE:00:00:01"


async def write(folder: Path, appends: int) -> None:
    """Append numbered envelopes, and print each number after it is durable."""
    spool = await SqliteSpool.open(
        folder, Tags(KEY), new_spool_id=SPOOL_ID, bounds=SpoolLimits(500, min_free_bytes=0)
    )
    cursor = cursor_of(_SENSOR)
    number = spool.marks([cursor]).get(cursor, 0)
    while number < appends:
        number += 1
        sealed = [Sealed(spool.take_sequence(), _HANDLE, 1, b"%8d" % number)]
        await spool.append(sealed, {cursor: number}, now_ms=1)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if number % 37 == 0:
            spool.settle(SpoolReceipt(SPOOL_ID, spool.stats().next_sequence - 5))
            await spool.forget()
        if number % 101 == 0:
            await spool.purge_all_but([])
    await spool.close()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else sys.maxsize))
