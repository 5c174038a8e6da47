"""The counters of the gateways of a process, which can be added over processes."""

import collections
from typing import Any

import msgspec

from simulators.fleet.report.histogram import Histogram


class Tally:
    """
    The counters of a process.

    `published` counts PUBLISH packets of envelopes with an identity, `repeated` those among them
    that were not the first of their envelope, `taken` those that the broker acknowledged.
    """

    def __init__(self) -> None:
        self.published = 0
        self.repeated = 0
        self.taken = 0
        self.denied = 0
        """Publications that the broker refused."""
        self.nameless: collections.Counter[str] = collections.Counter()
        """Publications without an identity of their own, by act."""
        self.nameless_taken = 0
        self.settled = 0
        self.withheld = 0
        """Envelopes that were due and not sealed, because without a lease nothing is measured."""
        self.purged = 0
        self.receipts = 0
        self.leases = 0
        self.leased = 0
        """Gateways that have a lease, possibly an empty one."""
        self.states = 0
        self.unreadable = 0
        """Receipts and leases that could not be read."""
        self.came_up = 0
        self.went_down = 0
        self.ended: collections.Counter[str] = collections.Counter()
        """Connections that ended, or could not be made, by kind."""
        self.lag = Histogram()
        """How long after it was due the generator began an act."""
        self.until_receipt: collections.defaultdict[int, Histogram] = collections.defaultdict(
            Histogram
        )
        """By phase: time from when an envelope was due until its receipt came."""

    def settled_one(self, phase: int, seconds: float) -> None:
        """Record a receipt for one envelope."""
        self.settled += 1
        self.until_receipt[phase].record(seconds)

    @property
    def online(self) -> int:
        """How many gateways have a connection that is ready."""
        return self.came_up - self.went_down

    def snapshot(self, **more: float) -> "TallySnapshot":
        """Return the counters as a value."""
        return TallySnapshot(
            published=self.published,
            repeated=self.repeated,
            taken=self.taken,
            denied=self.denied,
            nameless=dict(self.nameless),
            nameless_taken=self.nameless_taken,
            settled=self.settled,
            withheld=self.withheld,
            receipts=self.receipts,
            leases=self.leases,
            states=self.states,
            unreadable=self.unreadable,
            online=self.online,
            connections=self.came_up,
            ended=dict(self.ended),
            lag={str(bucket): count for bucket, count in self.lag.counts().items()},
            until_receipt={
                str(phase): {str(bucket): count for bucket, count in found.counts().items()}
                for phase, found in self.until_receipt.items()
            },
            more=dict(more),
        )


class TallySnapshot(msgspec.Struct, frozen=True):
    """The counters at a moment, as one process reports them to another. Histograms by bucket."""

    published: int = 0
    repeated: int = 0
    taken: int = 0
    denied: int = 0
    nameless: dict[str, int] = {}
    nameless_taken: int = 0
    settled: int = 0
    withheld: int = 0
    receipts: int = 0
    leases: int = 0
    states: int = 0
    unreadable: int = 0
    online: int = 0
    connections: int = 0
    ended: dict[str, int] = {}
    lag: dict[str, int] = {}
    until_receipt: dict[str, dict[str, int]] = {}
    more: dict[str, float] = {}
    """`leased`, `waiting`, `due`, `cpu_s`, `rss_bytes` and the like."""

    def lag_histogram(self) -> Histogram:
        """Return the lateness of the generator."""
        return Histogram({int(bucket): count for bucket, count in self.lag.items()})

    def receipt_histogram(self) -> Histogram:
        """Return the times to receipts, of all phases."""
        whole = Histogram()
        for found in self.until_receipt.values():
            whole.add(Histogram({int(bucket): count for bucket, count in found.items()}))
        return whole


def sum_of(parts: list[TallySnapshot]) -> TallySnapshot:
    """Return the sum of the counters of several processes."""
    return TallySnapshot(
        **{
            name: _added([getattr(part, name) for part in parts])
            for name in TallySnapshot.__struct_fields__
        }
    )


def _added(values: list[Any]) -> Any:
    """Return the sum of numbers, or of mappings of numbers key by key."""
    if not values or not isinstance(values[0], dict):
        return sum(values)
    keys = dict.fromkeys(key for value in values for key in value)
    return {key: _added([value[key] for value in values if key in value]) for key in keys}
