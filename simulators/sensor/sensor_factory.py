"""Creates the virtual sensors of each person."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from simulators.people.people import Person, VirtualSensor, address_of
from simulators.people.persona.day import HOUR_MS
from simulators.people.persona.oxygen import STEP_MS, saturations
from simulators.people.persona.strips import fingersticks
from simulators.sensor import signals
from simulators.sensor.device.clock import SensorClock
from simulators.sensor.device.faults import Faults
from simulators.sensor.device.peripheral import Peripheral, Security
from simulators.sensor.kinds.cgm import CgmSensor
from simulators.sensor.kinds.glucose_meter import GlucoseMeter
from simulators.sensor.kinds.heart_rate_strap import HeartRateStrap
from simulators.sensor.kinds.oximeter import PulseOximeter
from simulators.sensor.options import SensorKind, SensorOptions

_STATIC: Final = 0xC0
_BREAKFAST_MS: Final = 7 * HOUR_MS
T = TypeVar("T")


class AssignedSensor(msgspec.Struct, frozen=True):
    """A sensor that is assigned to a person."""

    person: str
    origin: str
    kind: SensorKind
    sensor: Peripheral


def build(
    people: Iterable[Person],
    kinds: Sequence[SensorKind],
    wishes: SensorOptions,
    *,
    now: Callable[[], float],
) -> list[AssignedSensor]:
    """
    Return the sensors of *kinds* for each of *people*, switched off.

    Straps and CGM sensors send what the person's samples hold; a person without such samples gets
    none. Meters and oximeters are always invented.
    """
    dressed = []
    for number, person in enumerate(people, start=1):
        own = f"{wishes.seed}/{number}"
        for kind in kinds:
            sensor = _make(kind, person, own, wishes, now)
            if sensor is not None:
                dressed.append(AssignedSensor(person.name, person.origin, kind, sensor))
    return dressed


def _make(
    kind: SensorKind, person: Person, own: str, wishes: SensorOptions, now: Callable[[], float]
) -> Peripheral | None:
    faults = Faults(*wishes.faults.get(kind, ()))
    match kind:
        case SensorKind.STRAP:
            return _strap(person, faults, wishes)
        case SensorKind.CGM:
            return _cgm(person, faults, wishes, now)
        case SensorKind.METER:
            return _meter(own, faults, wishes, now)
        case SensorKind.OXIMETER:
            return _oximeter(own, faults, wishes)


def _strap(person: Person, faults: Faults, wishes: SensorOptions) -> Peripheral | None:
    worn = _worn(person, "heart_rate", "rr_interval")
    if worn is None:
        return None
    has_rates = "heart_rate" in worn.quantities
    step_ms = worn.step_ms if has_rates else STEP_MS
    return HeartRateStrap(
        static_address(worn.address),
        signals.heart_rates(worn.samples(), has_rates=has_rates),
        period_s=step_ms / 1000 / wishes.speed,
        name=wishes.name or "HR strap",
        faults=faults,
    )


def _oximeter(own: str, faults: Faults, wishes: SensorOptions) -> Peripheral:
    return PulseOximeter(
        static_address(address_of(f"{own}/oximeter")),
        signals.oximetry(saturations(own, start_ms=_BREAKFAST_MS)),
        period_s=STEP_MS / 1000 / wishes.speed,
        name=wishes.name or "Pulse oximeter",
        faults=faults,
    )


def _meter(
    own: str, faults: Faults, wishes: SensorOptions, now: Callable[[], float]
) -> Peripheral:
    sticks = signals.strips(fingersticks(own, start_ms=_BREAKFAST_MS))
    past, future = split(sticks, at_ms=wishes.history_h * HOUR_MS)
    meter = GlucoseMeter(
        static_address(address_of(f"{own}/meter")),
        SensorClock(now),
        strips=in_time(future, wishes.speed),
        name=wishes.name or "Glucose meter",
        faults=faults,
        security=None if wishes.passkey is None else Security(wishes.passkey),
    )
    for ago_ms, strip in past:
        meter.measure(strip, ago_s=ago_ms / 1000)
    return meter


def _cgm(
    person: Person, faults: Faults, wishes: SensorOptions, now: Callable[[], float]
) -> Peripheral | None:
    worn = _worn(person, "glucose_interstitial")
    if worn is None:
        return None
    history_ms = wishes.history_h * HOUR_MS
    past, future = split(signals.readings(worn.samples()), at_ms=history_ms)
    sensor = CgmSensor(
        static_address(worn.address),
        now,
        readings=in_time(future, min(wishes.speed, worn.step_ms / 60_000)),
        name=wishes.name or "CGM sensor",
        faults=faults,
    )
    sensor.session.begin(ago_s=history_ms / 1000)
    for ago_ms, reading in past:
        sensor.measure(reading, minute=int((history_ms - ago_ms) // 60_000))
    return sensor


def _worn(person: Person, *quantities: str) -> VirtualSensor | None:
    """Return the person's sensor for the first of *quantities* that has one."""
    return next(
        (s for quantity in quantities for s in person.sensors if quantity in s.quantities), None
    )


def static_address(address: str) -> str:
    """Return *address* as a static random address of Bluetooth, whose two top bits are set."""
    first, _, rest = address.partition(":")
    return f"{int(first, 16) | _STATIC:02X}:{rest}"


def split(
    items: Iterator[tuple[int, T]], *, at_ms: float
) -> tuple[list[tuple[float, T]], Iterator[tuple[float, T]]]:
    """
    Return the items before *at_ms*, with how long before, and the rest, with how long after.

    *items* have ascending offsets in ms and never end.
    """
    past: list[tuple[float, T]] = []
    for offset_ms, item in items:
        if offset_ms >= at_ms:
            first = (offset_ms, item)
            rest = itertools.chain([first], items)
            return past, ((later_ms - at_ms, thing) for later_ms, thing in rest)
        past.append((at_ms - offset_ms, item))
    return past, iter(())


async def in_time(items: Iterator[tuple[float, T]], speed: float) -> AsyncIterator[T]:
    """Yield each of *items* when its offset in ms has passed, at *speed* times life."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for offset_ms, item in items:
        await asyncio.sleep(began + offset_ms / 1000 / speed - loop.time())
        yield item
