"""The options with which a user answers what a file of readings leaves open."""

import argparse

from recordings.options import ReadOptions
from recordings.parsing.clocks import DateOrder
from recordings.parsing.zones import IanaZone


def add_answers(command: argparse.ArgumentParser) -> None:
    """Add the options that answer what a file of readings leaves open."""
    command.add_argument(
        "--date-order",
        type=DateOrder,
        choices=[DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST],
        metavar="ORDER",
        help="day-first or month-first, for files whose dates can be read in both ways",
    )
    command.add_argument(
        "--zone",
        type=_zone,
        metavar="NAME",
        help="time zone of local times, such as Europe/Paris, for files that do not name one",
    )
    command.add_argument(
        "--format",
        choices=["polar_rr"],
        help="format of a file that is only a column of whole numbers: RR intervals in ms",
    )
    command.add_argument(
        "--glucose",
        choices=["interstitial", "capillary"],
        help="what was measured, for files that only say glucose",
    )


def answers_of(arguments: argparse.Namespace) -> ReadOptions:
    """Return the user's answers in *arguments*."""
    return ReadOptions(
        date_order=arguments.date_order,
        zone=arguments.zone,
        format=arguments.format,
        glucose=f"glucose_{arguments.glucose}" if arguments.glucose else None,
    )


def _zone(text: str) -> IanaZone:
    try:
        return IanaZone(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
