"""Commands about leases: publish, supersede, unpad."""

import datetime as dt
from typing import Annotated, Final

from msgspec import UNSET, UnsetType

from trust.cli.command import Arguments, Command, NoArguments, Option, Result
from trust.cli.commands.effects import effects
from trust.composition import App, now
from trust.decisions.leases import version_by_time
from trust.errors import NotFound


class PublishLeases(Arguments, frozen=True, kw_only=True):
    """Arguments: whether to issue new leases before publishing."""

    renew: Annotated[
        str | None, Option(help="issue a new lease for this gateway before", metavar="AGENT")
    ] = None


class PublishedLeases(Result, frozen=True, kw_only=True):
    """Result: the issued leases; empty without --renew."""

    withdrawn_at: str | UnsetType | None = UNSET
    committed_at: str | UnsetType = UNSET
    lease_version: int | UnsetType | None = UNSET
    leases: dict[str, int] | UnsetType = UNSET


def _publish(app: App, arguments: PublishLeases) -> PublishedLeases:
    if arguments.renew is None:
        return PublishedLeases()
    brought = app.reconciler.reconcile([arguments.renew], renew=True)
    if arguments.renew not in brought.versions and brought.committed_at is None:
        raise NotFound("agent", "Enrol one with `vitalveil trust agent enrol`.")
    done = effects(brought.check(arguments.renew))
    return PublishedLeases(
        withdrawn_at=done.withdrawn_at,
        committed_at=done.committed_at,
        lease_version=done.lease_version,
        leases=done.leases,
    )


class LeasesSuperseded(Result, frozen=True, kw_only=True):
    """Result: how many gateways get a lease above all earlier versions."""

    agents: int


def _supersede(app: App, _: NoArguments) -> LeasesSuperseded:
    with app.vault.transaction() as records:
        return LeasesSuperseded(agents=records.leases.supersede(version_by_time(now())))


class UnpadLeases(Arguments, frozen=True, kw_only=True):
    """Arguments: the gateways, and how long their leases stay unpadded."""

    agent: Annotated[
        str | None, Option(help="this gateway", metavar="AGENT", one_of="gateways")
    ] = None
    all: Annotated[bool, Option(help="every gateway", one_of="gateways")] = False
    valid_for: Annotated[dt.timedelta, Option(help="for how long (default: 7d)", metavar="7d")] = (
        dt.timedelta(days=7)
    )


class LeasesUnpadded(Result, frozen=True, kw_only=True):
    """Result: the number of gateways, and the end of the unpadded time."""

    agents: int
    until: str


def _unpad(app: App, arguments: UnpadLeases) -> LeasesUnpadded:
    with app.vault.transaction() as records:
        agents = records.leases.unpad(arguments.agent, valid_for=arguments.valid_for)
    if arguments.agent is not None and not agents:
        raise NotFound("agent that has leases", "See `vitalveil trust agent list`.")
    until = now() + arguments.valid_for
    return LeasesUnpadded(agents=agents, until=until.isoformat(timespec="seconds"))


COMMANDS: Final = (
    Command(
        name="lease publish",
        help="Publish the leases that wait to be published",
        example="lease publish --renew AGENT",
        arguments=PublishLeases,
        result=PublishedLeases,
        run=_publish,
        changes_leases=True,
    ),
    Command(
        name="lease supersede",
        help="After a restore of the vault, issue leases newer than those that gateways hold",
        details="Without it, gateways refuse the leases of the restored vault as outdated.",
        arguments=NoArguments,
        result=LeasesSuperseded,
        run=_supersede,
        warning="Every gateway measures what this vault says from then on, also of people"
        " who withdrew after the backup that it was restored from, unless that was entered"
        " again.",
    ),
    Command(
        name="lease unpad",
        help="Before a gateway goes back to version 0.1.0, issue leases without padding",
        arguments=UnpadLeases,
        result=LeasesUnpadded,
        run=_unpad,
    ),
)
