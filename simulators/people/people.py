"""
People for a run: recorded ones first, then invented ones when the recordings run out.

A person has a number and no name. Addresses follow from the seed and are locally administered, so
that no real sensor has one of them; the same seed gives the same people and addresses.
"""

import enum
import hashlib
import random
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from recordings import index
from recordings.errors import FileRefused, RecordingError
from recordings.files import PassedOver
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.sample import Sample
from simulators.people import window
from simulators.people.persona import glucose, heart
from simulators.people.persona.day import HOUR_MS

DEFAULT_SOURCE: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
_DESCRIPTIONS: Final = {
    "t1d_uom": "T1D-UOM: type 1 diabetes, free living",
    "polar_h10": "Polar H10: many ectopic beats",
    "dexcom": "Dexcom export",
    "libreview": "LibreView export",
    "polar_rr": "Polar RR intervals",
    "carelink": "CareLink export",
    "nightscout": "Nightscout entries",
    "tidepool": "Tidepool export",
    "apple_health": "Apple Health export",
    "tcx": "training (TCX)",
    "fit": "training (FIT)",
}


class Origin(enum.StrEnum):
    """Where a person's samples come from."""

    RECORDED = "recorded"
    PERSONA = "persona"


class VirtualSensor(msgspec.Struct, frozen=True):
    """A sensor that a person wears."""

    address: str
    """The address of the sensor, in the form of a MAC address."""
    kind: str
    quantities: tuple[str, ...]
    step_ms: int
    """The usual time between two measurements, in ms."""
    samples: Callable[[], Iterator[Sample]]
    """
    Returns an endless iterator over the samples, from the beginning with each call. Offsets are in
    ms, start at 0 and never descend.
    """


class Person(msgspec.Struct, frozen=True):
    """A person with sensors."""

    name: str
    origin: Origin
    description: str
    attribution: str
    sensors: tuple[VirtualSensor, ...]

    @property
    def quantities(self) -> frozenset[str]:
        """All quantities that the person's sensors measure."""
        return frozenset(q for sensor in self.sensors for q in sensor.quantities)


def address_of(seed: str) -> str:
    """Return an address that *seed* alone determines: unicast, locally administered."""
    octets = bytearray(hashlib.sha256(f"address/{seed}".encode()).digest()[:6])
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":").upper()


def pick(
    source: Path | None,
    count: int,
    *,
    seed: int,
    quantities: Collection[str] | None = None,
    options: ReadOptions = NO_OPTIONS,
) -> list[Person]:
    """
    Return *count* people.

    Args:
        source: A recording or a folder of recordings; None for invented people only.

        count: The number of people.

        seed: Chooses where each recording begins, the invented people, and all addresses.

        quantities: Skip recordings that hold none of these; None skips none.

        options: The user's answers for files that leave a question open.
    """
    return choose(source, count, seed=seed, quantities=quantities, options=options).people


class Choice(msgspec.Struct, frozen=True):
    """People for a run, and the files of their source that no person comes from."""

    people: list[Person]
    passed_over: list[PassedOver]


def choose(
    source: Path | None,
    count: int,
    *,
    seed: int,
    quantities: Collection[str] | None = None,
    options: ReadOptions = NO_OPTIONS,
) -> Choice:
    """Return *count* people, with arguments as in `pick`, and what could not be read."""
    people: list[Person] = []
    found = index.find(source, options) if source is not None else index.Found([], [])
    passed_over = list(found.passed_over)
    for recording in found.recordings:
        if len(people) == count:
            break
        try:
            person = _recorded(recording, len(people) + 1, seed=seed)
        except RecordingError as exc:
            # One damaged file does not keep the others from being played.
            line = exc.line if isinstance(exc, FileRefused) else None
            file = recording.tracks[0].file
            passed_over.append(PassedOver(file.path, file.member, exc.reason, line))
            continue
        if quantities is None or person.quantities & set(quantities):
            people.append(person)
    invented = [_invented(n, seed=seed) for n in range(len(people) + 1, count + 1)]
    return Choice(people + invented, passed_over)


def _recorded(recording: index.Recording, number: int, *, seed: int) -> Person:
    tracks = recording.load()
    origin = window.origin_ms(tracks, seed=f"{seed}/{number}")
    begin = min(track[0].offset_ms for track in tracks)
    end = max(track[-1].offset_ms for track in tracks)
    period = end - begin + max(window.typical_step_ms(track) for track in tracks)
    sensors = tuple(
        VirtualSensor(
            address=address_of(f"{seed}/{number}/{place}"),
            kind=track.format.sensor,
            quantities=tuple(sorted({sample.quantity for sample in samples})),
            step_ms=window.typical_step_ms(samples),
            samples=partial(window.endless, samples, origin=origin, period=period),
        )
        for place, (track, samples) in enumerate(zip(recording.tracks, tracks, strict=True))
    )
    return Person(
        name=f"person {number}",
        origin=Origin.RECORDED,
        description=_DESCRIPTIONS[recording.kind],
        attribution=recording.attribution(),
        sensors=sensors,
    )


def _invented(number: int, *, seed: int) -> Person:
    own = f"{seed}/{number}"
    draw = random.Random(f"{own}/start")
    start_ms = draw.randint(6, 20) * HOUR_MS + draw.randint(0, 59) * 60_000
    # One sensor in four is new, so that the end of a warm-up occurs.
    age_ms = (
        glucose.WARM_UP_MS - 600_000 if draw.random() < 0.25 else draw.randint(2, 200) * HOUR_MS
    )
    return Person(
        name=f"person {number}",
        origin=Origin.PERSONA,
        description="invented, physiology from a seed",
        attribution="none needed",
        sensors=(
            VirtualSensor(
                address=address_of(f"{own}/0"),
                kind="chest strap",
                quantities=("heart_rate", "rr_interval"),
                step_ms=heart.STEP_MS,
                samples=partial(heart.strap, own, start_ms=start_ms),
            ),
            VirtualSensor(
                address=address_of(f"{own}/1"),
                kind="CGM sensor",
                quantities=("glucose_interstitial",),
                step_ms=glucose.STEP_MS,
                samples=partial(glucose.cgm, own, start_ms=start_ms, age_ms=age_ms),
            ),
        ),
    )
