"""Commands about sensors: bind, replace, unbind, list."""

from typing import Annotated, Final
from uuid import UUID

import msgspec

from trust.cli.command import Arguments, Command, Option, Result, Row, SubjectFlag
from trust.cli.commands.effects import effects
from trust.cli.format import format_instant
from trust.composition import App
from trust.consent import bindings
from trust.consent.sensors import BoundSensor, ChangedSensors
from trust.errors import Refused

Agent = Annotated[str, Option(help="the gateway that measures the person", metavar="AGENT")]
Sensor = Annotated[str, Option(help="the address of the sensor", metavar="ADDRESS")]
User = Annotated[
    int | None,
    Option(
        help="the number by which the sensor knows the person, if it tells users apart (cuffs,"
        " scales); values of its other users are refused",
        metavar="N",
    ),
]


class BindSensor(Arguments, frozen=True, kw_only=True):
    """Arguments: the person, the gateway, and the sensor."""

    subject: SubjectFlag
    agent: Agent
    binding: Sensor
    user: User = None
    purpose: Annotated[
        list[str],
        Option(
            help="what it measures for; may be repeated. By default every purpose that the person"
            " accepted",
            metavar="NAME",
            is_repeatable=True,
        ),
    ] = msgspec.field(default_factory=list)


class ReplaceSensor(Arguments, frozen=True, kw_only=True):
    """Arguments: the gateway, the sensor that ends, and the one that begins."""

    agent: Agent
    binding: Sensor
    user: User = None
    replaces: Annotated[
        str,
        Option(
            help="the address of the sensor that it ends, with #2 after it for user 2",
            metavar="ADDRESS",
        ),
    ]


class UnbindSensor(Arguments, frozen=True, kw_only=True):
    """Arguments: the gateway, and the sensor."""

    agent: Agent
    binding: Sensor
    user: User = None


class ListSensors(Arguments, frozen=True, kw_only=True):
    """Arguments: a person, a gateway, or both."""

    subject: Annotated[UUID | None, Option(help="the person", metavar="ID")] = None
    agent: Annotated[str | None, Option(help="the gateway", metavar="AGENT")] = None


class SensorsChanged(Result, frozen=True, kw_only=True):
    """Result: what measures the person from now on, and what does not any more."""

    subject: UUID
    begun: dict[str, str]
    """The handle of the sensor, by purpose."""
    ended: dict[str, list[str]]
    """Sensors that were unbound, by purpose; what they measured before is still stored."""
    committed_at: str
    lease_version: int | None
    leases: dict[str, int]


class SensorRow(Row, frozen=True, kw_only=True):
    """One sensor in a list."""

    agent: str
    subject: UUID
    purpose: str
    sensor: str | None
    """None if the record of the person does not open."""
    user: int | None
    bound_at: str | None
    unbound_at: str | None


class SensorList(Result, frozen=True, kw_only=True):
    """Result: sensors, by gateway."""

    rows: list[SensorRow]


def _bind(app: App, arguments: BindSensor) -> SensorsChanged:
    return _changed(
        app.sensors.bind(
            arguments.subject,
            arguments.agent,
            bindings.parse(arguments.binding, user=arguments.user),
            purposes=[name.partition("@")[0] for name in arguments.purpose],
        )
    )


def _replace(app: App, arguments: ReplaceSensor) -> SensorsChanged:
    new = bindings.parse(arguments.binding, user=arguments.user)
    return _changed(app.sensors.replace(arguments.agent, bindings.parse(arguments.replaces), new))


def _unbind(app: App, arguments: UnbindSensor) -> SensorsChanged:
    sensor = bindings.parse(arguments.binding, user=arguments.user)
    return _changed(app.sensors.unbind(arguments.agent, sensor))


def _changed(changed: ChangedSensors) -> SensorsChanged:
    done = effects(changed.done)
    return SensorsChanged(
        subject=changed.subject,
        begun={handle.purpose: handle.handle.hex() for handle in changed.begun},
        ended={handle.purpose: handle.bindings for handle in changed.ended},
        committed_at=done.committed_at,
        lease_version=done.lease_version,
        leases=done.leases,
    )


def _list(app: App, arguments: ListSensors) -> SensorList:
    if arguments.subject is None and arguments.agent is None:
        raise Refused("give --subject, --agent or both: whose sensors, or at which gateway")
    found = app.sensors.bound(subject=arguments.subject, agent=arguments.agent)
    return SensorList(rows=[_row(one) for one in found])


def _row(one: BoundSensor) -> SensorRow:
    return SensorRow(
        agent=one.agent,
        subject=one.subject,
        purpose=one.purpose,
        sensor=None if one.sensor is None else one.sensor.address,
        user=None if one.sensor is None else one.sensor.user,
        bound_at=None if one.bound_at is None else format_instant(one.bound_at),
        unbound_at=None if one.unbound_at is None else format_instant(one.unbound_at),
    )


COMMANDS: Final = (
    Command(
        name="sensor bind",
        help="Bind a sensor to a person, for what they agreed to",
        details="""\
Takes no decision: a person agrees to what is measured and what for, not to a device. Of a cuff
or a scale that several people use, bind each person with --user; without it, values that name
a user are refused.""",
        example="sensor bind --subject ID --agent AGENT --binding C0:FF:EE:00:00:02 --user 1",
        arguments=BindSensor,
        result=SensorsChanged,
        run=_bind,
        changes_leases=True,
        is_finished_by_daemon=True,
    ),
    Command(
        name="sensor replace",
        help="Exchange a sensor, as a glucose sensor every 10 to 14 days",
        details="""\
The new sensor measures for the same person and purposes. What the old one measured before is
still sent and stored; from now on it is not listened to.""",
        example="sensor replace --agent AGENT --binding C0:FF:EE:00:00:03"
        " --replaces C0:FF:EE:00:00:02",
        arguments=ReplaceSensor,
        result=SensorsChanged,
        run=_replace,
        changes_leases=True,
        is_finished_by_daemon=True,
    ),
    Command(
        name="sensor unbind",
        help="Unbind a sensor: nothing that it measures from now on is stored",
        example="sensor unbind --agent AGENT --binding C0:FF:EE:00:00:02",
        arguments=UnbindSensor,
        result=SensorsChanged,
        run=_unbind,
        changes_leases=True,
        is_finished_by_daemon=True,
    ),
    Command(
        name="sensor list",
        help="List the sensors of a person, or at a gateway",
        example="sensor list --subject ID",
        arguments=ListSensors,
        result=SensorList,
        run=_list,
    ),
)
