"""The runs: which contenders take part in each, and with how many messages."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.measurements import latency, permission_scale
from benchmarks.measurements.contenders import Ceiling, Limit, Load, Ours
from benchmarks.peers.run import Peer, telegraf
from benchmarks.rounds import Sample, Table, Turn, play
from benchmarks.world.fleet import Fleet, Form, Message, Shape
from benchmarks.world.world import World

_MARGIN_MS: Final = 10_000
Say = Callable[[str], None]


class Sizes(msgspec.Struct, frozen=True):
    """
    How many messages and rounds a run has.

    Args:
        rounds: How many rounds.

        envelopes: By readings per envelope, the envelopes drained in a round.

        peers: Envelopes of 30 readings that each peer drains.

        others_every: In which rounds contenders besides ours and the limit at 30 readings take
            part.

        latency_s: Duration of the steady load in seconds; 0 for none.

        latency_rounds: How often the steady load is repeated.

        handles: The numbers of handles that ingest is made to know, in turn.
    """

    rounds: int
    envelopes: dict[int, int]
    peers: dict[str, int]
    others_every: int = 1
    latency_s: float = 0.0
    latency_rounds: int = 1
    handles: tuple[int, ...] = ()


SMOKE: Final = Sizes(3, {30: 20_000, 1: 30_000}, {"gmqtt": 4000})
QUICK: Final = Sizes(
    5,
    {30: 30_000, 1: 40_000, 300: 4000},
    {"paho": 1500, "gmqtt": 5000, "telegraf": 6000},
    latency_s=4.0,
    handles=(1_000_000,),
)
FULL: Final = Sizes(
    5,
    {30: 60_000, 1: 100_000, 300: 8000},
    {"paho": 4000, "gmqtt": 15_000, "telegraf": 20_000},
    latency_s=10.0,
    latency_rounds=5,
    handles=(1000, 10_000, 100_000, 1_000_000),
)


def make_fleet(world: World, shape: Shape) -> Fleet:
    """Return a fleet of *shape* whose last observations are of this moment."""
    span_ms = shape.rounds * shape.readings * shape.step_ms
    start_ms = time.time_ns() // 1_000_000 - span_ms - _MARGIN_MS
    return Fleet(shape, start_ms=start_ms, ingest_key=world.ingest_key)


def throughput(world: World, sizes: Sizes, say: Say) -> Table:
    """Compare all contenders over 1,000 series."""
    turns: dict[str, Turn] = {}
    for readings, envelopes in sizes.envelopes.items():
        shape = Shape(1000, readings, envelopes)
        world.sow(shape.members())
        fleet = make_fleet(world, shape)
        messages = fleet.messages()
        every = 1 if readings == 30 else sizes.others_every
        ours = Ours(world, Load(messages, shape.rows, envelopes))
        turns[f"ours_{readings}"] = Turn(ours, every)
        if readings == 1:
            turns["ceiling_1"] = Turn(Ceiling(world, messages, readings=1), every)
            continue
        turns[f"limit_{readings}"] = Turn(Limit(world, fleet), every)
        if readings == 30:
            turns["bare_30"] = Turn(Limit(world, fleet, table="bench_bare"), every)
    for name, envelopes in sizes.peers.items():
        if name == "telegraf" and telegraf() is None:
            say("no telegraf on the PATH: that peer is left out")
            continue
        form = Form.LINES if name == "telegraf" else Form.PLAIN
        fleet = make_fleet(world, Shape(1000, 30, envelopes))
        peer = Peer(world, name, fleet.messages(form), readings=30)
        turns[name] = Turn(peer, every=sizes.others_every)
    return play(turns, rounds=sizes.rounds, say=say)


def ours_alone(world: World, sizes: Sizes, say: Say) -> Table:
    """Drain 30 readings per envelope with our ingest alone."""
    shape = Shape(1000, 30, sizes.envelopes[30])
    world.sow(shape.members())
    load = Load(make_fleet(world, shape).messages(), shape.rows, shape.envelopes)
    return play({"ours_30": Turn(Ours(world, load))}, rounds=sizes.rounds, say=say)


def variants(world: World, sizes: Sizes, say: Say) -> Table:
    """Compare forms of our own: sealed, JSON, two workers, and bad input among good."""
    sealed = Shape(1000, 30, sizes.envelopes[30])
    in_clear = msgspec.structs.replace(sealed, first_series=1000)
    fleet, other = make_fleet(world, sealed), make_fleet(world, in_clear)
    world.sow(sealed.members())
    world.sow(in_clear.members(), format="json", add=True)
    good = Load(fleet.messages(), sealed.rows, sealed.envelopes)
    in_json = Load(other.messages(Form.JSON), sealed.rows, sealed.envelopes)
    turns = {
        "sealed": Turn(Ours(world, good)),
        "json": Turn(Ours(world, in_json)),
        "two_workers": Turn(Ours(world, good, workers=2)),
        "bad_input": Turn(Ours(world, spoil(good))),
    }
    return play(turns, rounds=sizes.rounds, say=say)


def spoil(load: Load) -> Load:
    """
    Return *load* with 1 % poison, 1 % refused and 5 % duplicates.

    Poison is an envelope whose seal does not open, which is quarantined. Refused is a truncated
    envelope, which cannot be read and is in no ledger.
    """
    messages: list[Message] = []
    poisoned = refused = 0
    for index, (topic, payload) in enumerate(load.messages):
        if index % 100 == 50:
            poisoned += 1
            messages.append((topic, payload[:-1] + bytes([payload[-1] ^ 1])))
        elif index % 100 == 75:
            refused += 1
            messages.append((topic, payload[:-1]))
        else:
            messages.append((topic, payload))
        if index % 20 == 11:
            messages.append(messages[-1])
    kept = load.ledger - poisoned - refused
    return Load(messages, load.rows * kept // load.ledger, load.ledger - refused)


def many_series(world: World, sizes: Sizes, say: Say) -> Table:
    """Compare ours and the limit over 100,000 series of 10,000 gateways."""
    shape = Shape(100_000, 30, max(sizes.envelopes[30], 100_000), 10)
    world.sow(shape.members())
    fleet = make_fleet(world, shape)
    ours = Ours(world, Load(fleet.messages(), shape.rows, shape.envelopes))
    turns = {"ours_many": Turn(ours), "limit_many": Turn(Limit(world, fleet))}
    return play(turns, rounds=sizes.rounds, say=say)


def waiting(world: World, sizes: Sizes, *, rate: float, say: Say) -> list[Sample]:
    """Load the whole path with *rate* envelopes a second; return the latencies of each round."""
    found = []
    for number in range(sizes.latency_rounds):
        found.append(latency.measure(world, latency.Paced(rate, sizes.latency_s)))
        say(
            f"round {number + 1} of {sizes.latency_rounds}: {rate:,.0f} envelopes/s, "
            f"p99 {found[-1]['p99']:.0f} ms"
        )
    return found


def remembering(world: World, sizes: Sizes, say: Say) -> list[Sample]:
    """Measure ingest with growing numbers of handles; return the costs of each."""
    empty_bytes = permission_scale.resident_of_none(world)
    found = []
    for handles in sizes.handles:
        found.append(
            permission_scale.measure(world, handles=handles, empty_bytes=empty_bytes, rounds=5)
        )
        say(
            f"{handles:>9,} handles: {found[-1]['bytes_per_handle']:.0f} bytes each, "
            f"ready in {found[-1]['start_s']:.1f} s"
        )
    return found


def with_rounds(sizes: Sizes, rounds: int) -> Sizes:
    """Return *sizes* with another number of rounds."""
    return msgspec.structs.replace(sizes, rounds=rounds)
