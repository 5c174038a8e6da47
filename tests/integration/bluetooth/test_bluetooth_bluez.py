"""The radio with bleak's real BlueZ backend, a real D-Bus and a simulated org.bluez."""

import time

import msgspec
import pytest

from edge_agent.bluetooth.errors import GaveUp
from edge_agent.bluetooth.radio import bluez
from edge_agent.bluetooth.radio.bluez import BluezHost
from edge_agent.bluetooth.radio.client import Radio
from edge_agent.bluetooth.radio.escalation import EscalationDelays
from edge_agent.bluetooth.records import record_cursor
from edge_agent.bluetooth.records.glucose import stamp_of
from edge_agent.bluetooth.session import SessionTiming
from edge_agent.gatt import racp
from edge_agent.gatt.racp import Operator, RacpOpCode, Request
from tests.bluez.sensors import METER, STRAP, Meter, Strap
from tests.fakes.bluetooth import QUICK, Collector, collecting
from tests.fixtures.bluez import Machine
from tests.support.readings import value_of
from wire.quantities import Code


def strap_on(machine: Machine, address: str = STRAP) -> Strap:
    """Return a strap that measures."""
    strap = Strap(address)
    machine.bluetoothd.add(strap)
    strap.wear()
    return strap


def rates(collector: Collector) -> list[float | None]:
    """Return the heart rates that were taken."""
    return [value_of(m) for m in collector.of(Code.HEART_RATE)]


def sequences_of(collector: Collector) -> list[int]:
    """Return the sequences of the taken records, in order."""
    numbers = [record_cursor.decode(m.record or 0) for m in collector.taken]
    return [number.sequence for number in numbers if number is not None]


async def flow_again(collector: Collector, *, within_s: float = 30.0) -> float:
    """Wait until values come; return how long that took, in seconds."""
    began, before = time.monotonic(), len(rates(collector))
    await collector.until(lambda: len(rates(collector)) >= before + 5, within_s=within_s)
    return time.monotonic() - began


async def test_each_value_of_a_strap_comes_once_and_in_order(machine: Machine) -> None:
    """Each value of a strap is handed over once and in order, dated by the agent's clock."""
    strap = strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await collector.until(lambda: len(rates(collector)) >= 100)

    assert rates(collector) == [60 + n % 120 for n in range(len(rates(collector)))]
    assert value_of(collector.of(Code.BATTERY_LEVEL)[0]) == 87
    assert not strap.is_connected
    assert machine.bluetoothd.calls["Disconnect"] == 1


async def test_a_drop_does_not_multiply_notifications(machine: Machine) -> None:
    """After each drop by the sensor every value still comes exactly once."""
    strap = strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        for _ in range(4):
            await flow_again(collector)
            assert len(strap.heart_rate.owners) == 1
            await strap.drop()
        await flow_again(collector)

    assert len(rates(collector)) <= strap.sent
    assert collector.value("sensor_connections_total") == 5
    assert collector.value("sensor_attempts_total", ending="lost") == 4


async def test_the_death_of_bluetoothd_is_noticed_and_survived(machine: Machine) -> None:
    """The agent notices the death of a killed bluetoothd by its name on the bus, and recovers."""
    strap_on(machine)
    patience = msgspec.structs.replace(QUICK, timing=SessionTiming())

    async with collecting(Radio(), BluezHost(), {STRAP: 0}, patience=patience) as collector:
        await flow_again(collector)
        await machine.bluetoothd.kill()
        await collector.until(lambda: collector.value("bluetooth_deaths_total") == 1)
        await collector.during(0.5)
        assert collector.value("sensor_attempts_total", ending="lost") == 1
        await machine.bluetoothd.start()
        took_s = await flow_again(collector)

    assert took_s < 5


async def test_a_bluetoothd_that_hangs_is_taken_for_dead(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A bluetoothd that answers nothing is taken for dead: its links are dropped and it is
    restarted.
    """
    monkeypatch.setattr(bluez, "_PING_S", 0.5)
    strap_on(machine)
    bluetoothd = machine.bluetoothd
    steps = EscalationDelays(new_scanner_s=1, power_cycle_s=2, restart_s=3, exit_s=60)
    patience = msgspec.structs.replace(QUICK, timing=SessionTiming(), steps=steps)

    async def restart() -> None:
        bluetoothd.hangs.clear()
        bluetoothd.is_mute = False

    host = BluezHost(ping_every_s=0.2)
    async with collecting(Radio(), host, {STRAP: 0}, patience=patience) as collector:
        await flow_again(collector)
        bluetoothd.on_restart = restart
        bluetoothd.is_mute = True
        bluetoothd.hangs |= {"Ping", "GetManagedObjects", "Disconnect", "StopDiscovery"}
        await flow_again(collector)

    assert collector.value("bluetooth_deaths_total") == 1
    assert bluetoothd.units


async def test_a_dead_bluetoothd_is_restarted(machine: Machine) -> None:
    """A dead bluetoothd that does not return by itself is restarted by systemd."""
    strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)
        machine.bluetoothd.on_restart = lambda: machine.bluetoothd.start()
        await machine.bluetoothd.kill()
        systemd = type(machine.bluetoothd)()
        systemd.on_restart = machine.bluetoothd.on_restart
        await systemd.start_systemd()
        await flow_again(collector)
        await systemd.kill()

    assert systemd.units[:1] == ["bluetooth.service"]
    assert collector.value("recoveries_total", action="restart_bluetoothd") >= 1


async def test_the_death_of_the_bus_is_survived(machine: Machine) -> None:
    """When D-Bus itself restarts, all connections are made again."""
    strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)
        machine.bus.kill()
        await machine.bluetoothd.kill()
        await collector.during(0.3)
        machine.bus.start()
        await machine.bluetoothd.start()
        took_s = await flow_again(collector)

    assert took_s < 10


async def test_an_adapter_that_was_pulled_comes_back(machine: Machine) -> None:
    """
    Data flow again after an adapter was unplugged and inserted, even if it is switched
    off then.
    """
    strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)
        await machine.bluetoothd.remove_adapter()
        await collector.during(0.5)
        await machine.bluetoothd.insert_adapter(powered=False)
        await flow_again(collector)

    assert machine.bluetoothd.is_powered


async def test_a_wedged_scan_is_power_cycled(machine: Machine) -> None:
    """
    A scan that fails with InProgress for ever is repaired by switching the adapter off
    and on.
    """
    bluetoothd = machine.bluetoothd
    bluetoothd.errors["StartDiscovery"] = "org.bluez.Error.InProgress"
    strap_on(machine)
    bluetoothd.on_power_off = lambda: bluetoothd.errors.clear()

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)

    assert collector.value("recoveries_total", action="power_cycle") == 1


async def test_a_host_beyond_recovery_ends_the_process(machine: Machine) -> None:
    """
    When every recovery action has failed for long, `take` raises the error that ends the
    process.
    """
    machine.bluetoothd.errors["StartDiscovery"] = "org.bluez.Error.InProgress"
    strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        with pytest.raises(GaveUp):
            await collector.during(20)

    assert machine.bluetoothd.units
    assert collector.value("recoveries_total", action="exit") == 1


async def test_a_connection_that_was_left_over_is_taken_up(machine: Machine) -> None:
    """
    After a crash the connection that BlueZ still holds is used, because the sensor does not
    advertise.
    """
    strap = strap_on(machine)
    strap.is_known = strap.is_connected = True

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)

    assert strap.connections == 0


async def test_a_silent_strap_is_connected_anew(machine: Machine) -> None:
    """A silent connection to a strap is replaced."""
    strap = strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)
        strap.is_silent = True
        await collector.until(
            lambda: collector.value("sensor_attempts_total", ending="silent") >= 1
        )
        strap.is_silent = False
        await flow_again(collector)


async def test_records_come_once_over_a_drop(machine: Machine) -> None:
    """Records that a drop has cut off are fetched from the last durable record on."""
    meter = Meter(100)
    meter.drop_after = 40
    machine.bluetoothd.add(meter)

    async with collecting(Radio(), BluezHost(), {METER: 0}) as collector:
        await collector.until(lambda: collector.value("record_fetches_total") >= 1)
        await collector.during(0.1)

    assert sequences_of(collector) == list(range(1, 101))


async def test_records_that_the_host_loses_are_asked_for_again(machine: Machine) -> None:
    """
    Records that the host loses are noticed by their number and requested again before the cursor
    moves.
    """
    meter = Meter(60)
    meter.loses = {1, 17, 18, 40, 60}
    machine.bluetoothd.add(meter)

    async with collecting(Radio(), BluezHost(), {METER: 0}) as collector:
        await collector.until(lambda: len(collector.taken) >= 60)
        meter.store(61)
        meter.store(62)
        meter.loses = {61}
        await collector.until(lambda: len(collector.taken) >= 62)

    assert sequences_of(collector) == list(range(1, 63))


@pytest.mark.parametrize("interleaves", [False, True])
async def test_a_report_of_somebody_who_died_is_not_taken_for_ours(
    machine: Machine, interleaves: bool
) -> None:
    """
    The report of a killed agent, whose link BlueZ kept, is not mistaken for the next agent's
    report.
    """
    meter = Meter(60)
    meter.gap_s, meter.interleaves = 0.02, interleaves
    machine.bluetoothd.add(meter)
    known = record_cursor.RecordCursor(0, 5, stamp_of(meter.measured(5))).encode()
    meter.is_known = meter.is_connected = True
    meter.ask(racp.encode_request(racp.report_from(20)))

    async with collecting(Radio(), BluezHost(), {METER: known}) as collector:
        await collector.until(lambda: len(collector.taken) >= 55, within_s=30)

    assert sequences_of(collector) == list(range(6, 61))
    assert meter.connections == 0
    assert meter.requests[0] == racp.encode_request(Request(RacpOpCode.ABORT))


async def test_a_meter_that_leaves_at_once_is_heard_to_its_end(machine: Machine) -> None:
    """Records that came before a disconnection are handed over, although the link has ended."""
    meter = Meter(20)
    meter.leaves = True
    machine.bluetoothd.add(meter)

    async with collecting(Radio(), BluezHost(), {METER: 0}) as collector:
        await collector.until(lambda: collector.value("record_fetches_total") >= 1)
        await collector.during(0.05)

    assert len(collector.taken) == 20
    assert meter.connections == 1


async def test_a_meter_that_only_knows_all_is_read(machine: Machine) -> None:
    """For a meter without a filter by sequence, known records are skipped by the agent."""
    meter = Meter(5, supports=frozenset({Operator.ALL}))
    machine.bluetoothd.add(meter)

    async with collecting(Radio(), BluezHost(), {METER: 0}) as collector:
        await collector.until(lambda: collector.value("record_fetches_total") >= 1)
        meter.store(6)
        await collector.until(lambda: len(collector.taken) >= 6)
        await collector.during(0.5)

    assert [m.record for m in collector.taken] == sorted({m.record or 0 for m in collector.taken})
    assert len(collector.taken) == 6


async def test_a_sensor_that_left_the_lease_is_silent_at_once(machine: Machine) -> None:
    """When `listen` returns, a sensor that left the lease is not sampled any more."""
    strap = strap_on(machine)

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)
        await collector.sensors.listen({})
        while await collector.sensors.take(within_s=0):
            pass
        taken = await collector.sensors.take(within_s=0.3)

    assert taken == []
    assert not strap.is_connected


async def test_strangers_are_counted_and_left_alone(machine: Machine) -> None:
    """A sensor that no lease names is counted and never connected to."""
    strap = strap_on(machine)
    stranger = strap_on(machine, "C0:FF:EE:00:00:99")

    async with collecting(Radio(), BluezHost(), {STRAP: 0}) as collector:
        await flow_again(collector)

    assert stranger.connections == 0
    assert strap.connections == 1
    assert {m.sensor for m in collector.taken} == {STRAP}
