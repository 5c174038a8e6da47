"""
Virtual sensors on the air, and an adapter through which bleak reaches them.

How to use it: a test takes `link`, switches sensors on, and hands the two backend types to bleak
or to whatever of ours takes them.

    async def test_x(link: AirLink) -> None:
        strap = await link.add(HeartRateStrap("C0:FF:EE:00:00:01", measurements, period_s=0.01))
        scanner = BleakScanner(on_advertisement, backend=link.scanner_type)
        async with BleakClient(device, backend=link.client_type) as client:
            ...

The other sensors, all of `simulators.sensor`: `GlucoseMeter(address, SensorClock(now))` with
`measure(Strip(5.5, Meal.FASTING), ago_s=3600)`, `CgmSensor(address, now)` with
`tell_all(measure(Reading(6.0)))`, `PulseOximeter(address, measurements)`. A `Security(123456)`
makes a meter ask for a passkey.

`sensor.address` is what a lease binds; `sensor.sent` are the values that were put on the air,
`sensor.books` counts; `sensor.faults.add("drop@40")` lets things go wrong (`faults.Kind` has them
all); `await sensor.drop()` breaks the link, `hide()` and `appear()` move the sensor out of reach
and back, `switch_off()` is an empty battery, `forget_bonds()` a new one. `meter.access.requests`
is what was written to the control point, `meter.clock.ahead_s()` how wrong its clock is.

`link.adapter` has the troubles of the gateway's side: `hang()`, `error`, `recover()`, `has_agent`,
`passkey`, `take_address()`, and counts `connects`, `scans` and `registrations`.
At the end everything is switched off, and what went wrong inside a sensor fails the test.
`tests.bluetooth.central` has a central of few lines to try a sensor with.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

import pytest_asyncio

if TYPE_CHECKING:
    # Bumble takes half a second to import: only the tests that need it pay for it.
    from simulators.sensor.device.peripheral import Peripheral
    from tests.bluetooth.adapter import Adapter
    from tests.bluetooth.backend import AirClient, AirScanner

    P = TypeVar("P", bound=Peripheral)


class Complaints(logging.Handler):
    """Keeps what Bumble logs as an error: it swallows what its handlers raise."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self.heard.append(f"{record.getMessage()} {cause!r}")


class AirLink:
    """An adapter, and the sensors that it can reach."""

    def __init__(self) -> None:
        from simulators.sensor.device.virtual_radio import Air
        from tests.bluetooth.adapter import Adapter
        from tests.bluetooth.backend import types_for

        self.air = Air()
        self.adapter: Adapter = Adapter()
        self._types = types_for(self.adapter)
        self.sensors: list[Peripheral] = []

    @property
    def scanner_type(self) -> type[AirScanner]:
        """What BleakScanner takes as its backend."""
        return self._types[0]

    @property
    def client_type(self) -> type[AirClient]:
        """What BleakClient takes as its backend."""
        return self._types[1]

    async def add(self, sensor: P) -> P:
        """Switch *sensor* on and return it."""
        self.sensors.append(sensor)
        await sensor.switch_on(self.air)
        return sensor

    async def close(self) -> None:
        """Switch everything off."""
        self.adapter.recover()
        await self.adapter.switch_off()
        for sensor in self.sensors:
            await sensor.switch_off()


@pytest_asyncio.fixture
async def link() -> AsyncIterator[AirLink]:
    """The air of this test alone, with an adapter that is on and no sensor yet."""
    complaints = Complaints()
    bumble = logging.getLogger("bumble")
    bumble.addHandler(complaints)
    made = AirLink()
    await made.adapter.switch_on(made.air)
    yield made
    await made.close()
    bumble.removeHandler(complaints)
    assert complaints.heard == []
