"""Commands about the epochs of pseudonyms."""

from typing import Annotated, Final

from trust.cli.command import Arguments, Command, NoArguments, Option, Result, Row
from trust.composition import App

_Purpose = Annotated[str, Option(help="the purpose of the pseudonyms", metavar="NAME")]


class RotatePseudonyms(Arguments, frozen=True, kw_only=True):
    """Arguments: the purpose whose pseudonyms are rotated."""

    purpose: _Purpose


class PseudonymsRotated(Result, frozen=True, kw_only=True):
    """Result: the new epoch, and the gateways that moved to it."""

    purpose: str
    epoch: int
    handles: int
    agents: int
    """The gateways that have new leases."""
    resumed: bool


def _rotate(app: App, arguments: RotatePseudonyms) -> PseudonymsRotated:
    done = app.rotation.rotate(arguments.purpose)
    return PseudonymsRotated(
        purpose=done.purpose,
        epoch=done.epoch,
        handles=done.handles,
        agents=done.agents,
        resumed=done.resumed,
    )


class EpochRow(Row, frozen=True, kw_only=True):
    """An epoch of the pseudonyms of a purpose."""

    purpose: str
    epoch: int
    started_at: str
    state: str


class EpochList(Result, frozen=True, kw_only=True):
    """The epochs of all purposes."""

    rows: list[EpochRow]


def _epochs(app: App, _: NoArguments) -> EpochList:
    with app.vault.transaction() as records:
        found = records.epochs.all()
    return EpochList(
        rows=[
            EpochRow(
                purpose=one.purpose,
                epoch=one.number,
                started_at=one.started_at.isoformat(timespec="seconds"),
                state="moved" if one.moved_at else "moving",
            )
            for one in found
        ]
    )


class DestroyEpoch(Arguments, frozen=True, kw_only=True):
    """An epoch of a purpose."""

    purpose: _Purpose
    epoch: Annotated[int, Option(help="the number of an earlier epoch")]


class EpochDestroyed(Result, frozen=True, kw_only=True):
    """Result: whether the key of the epoch existed."""

    purpose: str
    epoch: int
    destroyed: bool


def _destroy(app: App, arguments: DestroyEpoch) -> EpochDestroyed:
    was_there = app.rotation.destroy(arguments.purpose, arguments.epoch)
    return EpochDestroyed(purpose=arguments.purpose, epoch=arguments.epoch, destroyed=was_there)


COMMANDS: Final = (
    Command(
        name="pseudonym rotate",
        help="Begin a new epoch of the pseudonyms of a purpose, or finish one that was cut off",
        example="pseudonym rotate --purpose home-monitoring",
        arguments=RotatePseudonyms,
        result=PseudonymsRotated,
        run=_rotate,
    ),
    Command(
        name="pseudonym epochs",
        help="List the epochs of all purposes",
        arguments=NoArguments,
        result=EpochList,
        run=_epochs,
    ),
    Command(
        name="pseudonym destroy",
        help="Destroy the root key of an earlier epoch",
        arguments=DestroyEpoch,
        result=EpochDestroyed,
        run=_destroy,
        warning="No pseudonym of that epoch can ever be given its name back.",
    ),
)
