"""
Virtual sensors on the air, and an adapter through which bleak reaches them.

How to use it: a test takes `link`, switches sensors on, and hands the two backend types to bleak
or to whatever of ours takes them.

    async def test_x(link: AirLink) -> None:
        strap = await link.add(HeartRateStrap("C0:FF:EE:00:00:01", measurements, period_s=0.01))
        scanner = BleakScanner(on_advertisement, backend=link.scanner_type)
        async with BleakClient(device, backend=link.client_type) as client:
            ...

`strap.address` is what a lease binds; `strap.sent` are the values that were put on the air,
`strap.books` counts; `strap.faults.add("drop@40")` lets things go wrong (simulators.sensor.faults
has the kinds); `await strap.drop()` breaks the link, `hide()` and `appear()` move the sensor out
of reach and back, `switch_off()` is an empty battery. `link.adapter` has the troubles of the
gateway's side: `hang()`, `error`, `recover()`, `has_agent`, `passkey`, and counts `connects` and
`scans`.
At the end everything is switched off, and what went wrong inside a sensor fails the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

import pytest_asyncio

if TYPE_CHECKING:
    # Bumble takes half a second to import: only the tests that need it pay for it.
    from simulators.sensor.peripheral import Peripheral
    from tests.bluetooth.backend import Adapter, AirClient, AirScanner

    P = TypeVar("P", bound=Peripheral)


class AirLink:
    """An adapter, and the sensors that it can reach."""

    def __init__(self) -> None:
        from simulators.sensor.air import Air
        from tests.bluetooth.backend import Adapter

        self.air = Air()
        self.adapter: Adapter = Adapter()
        self.sensors: list[Peripheral] = []

    @property
    def scanner_type(self) -> type[AirScanner]:
        """What BleakScanner takes as its backend."""
        return self.adapter.scanner_type

    @property
    def client_type(self) -> type[AirClient]:
        """What BleakClient takes as its backend."""
        return self.adapter.client_type

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
    made = AirLink()
    await made.adapter.switch_on(made.air)
    yield made
    await made.close()
