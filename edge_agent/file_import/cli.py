"""`vitalveil agent import`: a person's own history, from a file."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from edge_agent.config import AgentSettings
from edge_agent.errors import FileNotImported, LeaseRefused
from edge_agent.file_import.run import ImportReport, run
from recordings.arguments import answers_of
from runtime.command_line import output


def import_file(arguments: argparse.Namespace, settings: AgentSettings) -> int:
    """Import the file in *arguments*; return 0, or 1 if nothing of it may be sealed."""
    path: Path = arguments.file
    try:
        report = asyncio.run(
            run(
                settings,
                path,
                arguments.sensor.upper(),
                answers_of(arguments),
                is_dry=arguments.dry_run,
            )
        )
    except (FileNotImported, LeaseRefused) as exc:
        output.fail("vitalveil agent", f"{exc}.", as_json=arguments.json)
        return 1
    if arguments.json:
        output.show(msgspec.structs.asdict(report), as_json=True)
    else:
        _print(report, is_dry=arguments.dry_run)
    return 0 if report.observations else 1


def _print(report: ImportReport, *, is_dry: bool) -> None:
    print(f"{report.readings} readings of format {report.format}")
    if is_dry:
        print(f"{report.observations} observations would be sealed")
    else:
        print(f"{report.observations} observations sealed in {report.envelopes} envelopes")
    if report.merged:
        print(f"{report.merged} merged: the policy lets one of an interval out")
    for reason, count in report.refused.items():
        print(f"{count} refused: {reason}")
