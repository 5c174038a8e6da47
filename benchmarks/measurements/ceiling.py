"""The ceiling of the broker: a subscriber that only acknowledges. Run as a separate process."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import mqtt5
import uvloop

from benchmarks.world import mqtt


class _Counter:
    """Counts and acknowledges messages, and records their times."""

    def __init__(self, link: mqtt.Link, wanted: int) -> None:
        self._link = link
        self._wanted = wanted
        self._count = 0
        self.marks: list[tuple[float, int]] = []
        self.done = asyncio.Event()

    def take(self, packets: list[mqtt5.PublishPacket]) -> None:
        """Take the packets of one read."""
        self._link.acknowledge(packets)
        self._count += len(packets)
        self.marks.append((time.time(), len(packets)))
        if self._count >= self._wanted:
            self.done.set()


async def _drain(client: mqtt.Client, wanted: int) -> list[tuple[float, int]]:
    loop = asyncio.get_running_loop()
    counters: list[_Counter] = []

    def make() -> mqtt.Link:
        link = mqtt.Link(client.name, clean_start=False, expiry_s=mqtt.EXPIRY_S)
        counters.append(_Counter(link, wanted))
        link.on_published = counters[-1].take
        return link

    _, link = await loop.create_connection(
        make, "127.0.0.1", client.port, ssl=client.context(), server_hostname="127.0.0.1"
    )
    await counters[-1].done.wait()
    await link.close()
    return counters[-1].marks


def main(argv: Sequence[str]) -> int:
    """Drain COUNT messages; print the number that arrived at each time, as JSON."""
    port, pki, name, count = argv
    client = mqtt.Client(name, int(port), Path(pki))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        marks = runner.run(_drain(client, int(count)))
    sys.stdout.write(json.dumps(marks))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
