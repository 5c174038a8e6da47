"""A fleet without connections: agents, handles, and all their envelopes, sealed beforehand."""

import enum
import hashlib
from collections.abc import Iterator

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from ingest.admission.columns import Ints
from ingest.admission.decide import Rows
from wire import json_envelope, topics
from wire.envelope import Block, Body, encode_envelope
from wire.quantities import Code
from wire.sealing import DEFAULT_BUCKET_BYTES, Sealer

LEASE = 1
_BASE_BPM = 90
_SPREAD_BPM = 40


class Form(enum.StrEnum):
    """The form of an observation on the wire."""

    SEALED = "sealed"
    JSON = "json"
    PLAIN = "plain"
    """The form of a system without consent and sealing: series, start, step, values, in JSON."""
    LINES = "lines"
    """InfluxDB line protocol, the native form of Telegraf: one line for each observation."""


class Member(msgspec.Struct, frozen=True):
    """A series with its sender; `number` counts from 0, the id of the series from 1."""

    number: int
    agent: str
    handle: bytes

    @property
    def series_id(self) -> int:
        """The id of the series in the database."""
        return self.number + 1


def member(number: int, handles_per_agent: int = 1) -> Member:
    """Return series *number*, the same in every fleet."""
    agent = hashlib.blake2b(b"agent %d" % (number // handles_per_agent), digest_size=8)
    handle = hashlib.blake2b(b"handle %d" % number, digest_size=16)
    return Member(number, agent.hexdigest(), handle.digest())


class Shape(msgspec.Struct, frozen=True):
    """
    The number and size of the envelopes of a fleet.

    Args:
        series: How many series there are, each with its own handle.

        readings: Observations in an envelope.

        envelopes: Envelopes of the whole fleet; the series take turns.

        handles_per_agent: How many series a gateway has.

        step_ms: Time between two observations, in ms.

        first_series: Number of the first series: fleets that differ in it share no series.
    """

    series: int
    readings: int
    envelopes: int
    handles_per_agent: int = 1
    step_ms: int = 1000
    first_series: int = 0

    def members(self) -> list[Member]:
        """Return the series."""
        numbers = range(self.first_series, self.first_series + self.series)
        return [member(number, self.handles_per_agent) for number in numbers]

    @property
    def rows(self) -> int:
        """The number of observations."""
        return self.envelopes * self.readings

    @property
    def rounds(self) -> int:
        """The most turns of a series."""
        return -(-self.envelopes // self.series)


Message = tuple[str, bytes]
"""A topic and a payload."""


class Fleet:
    """
    All messages of a fleet of *shape*. They are equal in each run, except for the random parts of
    a seal.

    Args:
        shape: The number and size of its envelopes.

        start_ms: The time of its first observation, in ms since 1970.

        ingest_key: The public key to which envelopes are sealed.

        bucket_bytes: Sealed lengths are padded to a multiple of this.

        seed: The seed of the values and of the spool ids.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        start_ms: int,
        ingest_key: X25519PublicKey,
        bucket_bytes: int = DEFAULT_BUCKET_BYTES,
        seed: int = 1,
    ) -> None:
        self.shape = shape
        self.start_ms = start_ms
        self._ingest_key = ingest_key
        self._bucket_bytes = bucket_bytes
        self._random = np.random.default_rng(seed)
        self._members = shape.members()
        self._topics = [topics.observations(m.agent) for m in self._members]
        self._values = self._random.integers(
            -_SPREAD_BPM, _SPREAD_BPM, (shape.envelopes, shape.readings), dtype=np.int8
        )

    def messages(self, form: Form = Form.SEALED) -> list[Message]:
        """Return every envelope with its topic, in the order of sending."""
        makers = {
            Form.SEALED: self._sealed,
            Form.JSON: self._json,
            Form.PLAIN: self._plain,
            Form.LINES: self._lines,
        }
        return list(makers[form]())

    def starts_ms(self) -> Ints:
        """Return when the first observation of each envelope was measured, in ms since 1970."""
        turn = np.arange(self.shape.envelopes, dtype=np.int64) // self.shape.series
        return self.start_ms + turn * self.shape.readings * self.shape.step_ms

    def rows(self, first: int = 0, last: int | None = None) -> Rows:
        """Return the rows of the envelopes [*first*, *last*), by series and time."""
        readings = self.shape.readings
        index = np.arange(first, self.shape.envelopes if last is None else last)
        index = index[np.lexsort((index, index % self.shape.series))]
        numbers = self.shape.first_series + index % self.shape.series + 1
        steps = np.tile(np.arange(readings, dtype=np.int64), len(index))
        return Rows(
            times_ms=np.repeat(self.starts_ms()[index], readings) + self.shape.step_ms * steps,
            series=np.repeat(numbers.astype(np.int32), readings),
            values=(self._values[index].ravel() + np.float32(_BASE_BPM)).astype(np.float32),
            flags=np.zeros(len(steps), np.uint8),
            envelopes=np.repeat(index, readings),
        )

    def _bodies(self) -> Iterator[tuple[Member, int, Body]]:
        """Yield the series, sequence and body of each envelope."""
        shape = self.shape
        starts = self.starts_ms().tolist()
        sequences: dict[str, int] = {}
        for index in range(shape.envelopes):
            one = self._members[index % shape.series]
            sequence = sequences[one.agent] = sequences.get(one.agent, 0) + 1
            packed = self._values[index].tobytes()
            block = Block(Code.HEART_RATE, starts[index], shape.step_ms, packed, _BASE_BPM)
            yield one, sequence, Body(one.handle, LEASE, [block])

    def _sealed(self) -> Iterator[Message]:
        sealers: dict[str, Sealer] = {}
        for one, sequence, body in self._bodies():
            sealer = sealers.get(one.agent)
            if sealer is None:
                sealer = sealers[one.agent] = Sealer(
                    agent=one.agent,
                    spool_id=self._random.bytes(16),
                    session_key=self._random.bytes(32),
                    ingest_key=self._ingest_key,
                    bucket_bytes=self._bucket_bytes,
                )
            envelope = sealer.seal(body, sequence=sequence)
            yield self._topics[one.number - self.shape.first_series], encode_envelope(envelope)

    def _json(self) -> Iterator[Message]:
        spools: dict[str, bytes] = {}
        for one, sequence, body in self._bodies():
            spool = spools.setdefault(one.agent, self._random.bytes(16))
            yield (
                self._topics[one.number - self.shape.first_series],
                json_envelope.encode(spool, sequence, body),
            )

    def _plain(self) -> Iterator[Message]:
        for one, _, body in self._bodies():
            block = body.blocks[0]
            content = {
                "series": one.series_id,
                "start_ms": block.start_ms,
                "step_ms": block.step,
                "values": block.unpacked_values(),
            }
            yield self._topics[one.number - self.shape.first_series], msgspec.json.encode(content)

    def _lines(self) -> Iterator[Message]:
        for one, _, body in self._bodies():
            block = body.blocks[0]
            text = "\n".join(
                f"observations series_id={one.series_id}i,value={value},flags=0i {at}000000"
                for at, value in zip(block.times_ms(), block.unpacked_values(), strict=True)
            )
            yield self._topics[one.number - self.shape.first_series], text.encode()
