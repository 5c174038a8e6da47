"""The command line of `vitalveil simulate sensor`. Does not import Bluetooth."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulators.arguments import number, whole
from simulators.errors import FaultError
from simulators.sensor.device import faults
from simulators.sensor.options import SensorKind, SensorOptions

_positive = number(1e-6, 1e6, "a number above 0, and at most a million")
_EPILOG = """\
a fault: [SENSOR:]KIND[=NUMBER][@FIRST[-[LAST]][/EVERY]], at values counted from 1
  drop@40           the link breaks in place of value 40
  drop@40-/40       at each fortieth value
  strap:flood=1000  the strap sends a thousand values a second
  meter:server-busy@1   the first request for records is answered by: busy
kinds: """ + ", ".join(faults.FaultKind)


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command to the parser of `vitalveil simulate`."""
    command = commands.add_parser(
        "sensor",
        help="play virtual Bluetooth sensors to a gateway",
        description="Play Bluetooth sensors: to a host that is given a virtual controller, or on"
        " the real air with a dongle.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--controller",
        metavar="PORT",
        help="give the host behind PORT a controller that hears all sensors: vhci for this"
        " machine's kernel, tcp-server:HOST:PORT, unix-server:PATH",
    )
    where.add_argument(
        "--dongle", metavar="PORT", help="advertise one sensor by a real dongle: usb:0"
    )
    where.add_argument("--list", action="store_true", help="list the sensors and stop")
    _add_people(command)
    command.add_argument(
        "--speed",
        type=_positive,
        default=1.0,
        metavar="X",
        help="how many times faster than life (default: 1)",
    )
    command.add_argument(
        "--history",
        type=number(0, 336),
        default=24.0,
        metavar="H",
        help="hours that meters and CGM sensors have been in use (default: 24)",
    )
    command.add_argument(
        "--fault", type=_fault, action="append", default=[], metavar="FAULT", help="see below"
    )
    command.add_argument("--name", metavar="TEXT", help="the advertised name of the sensors")
    command.add_argument(
        "--passkey",
        type=_passkey,
        metavar="DIGITS",
        help="the passkey that meters ask for at pairing",
    )
    command.add_argument(
        "--duration", type=_positive, metavar="S", help="seconds to run (default: until stopped)"
    )
    command.add_argument("--json", action="store_true", help="write the result as one JSON object")


def _add_people(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--sensors",
        type=_kinds,
        default=tuple(SensorKind),
        metavar="KIND[,KIND...]",
        help=f"of {', '.join(SensorKind)} (default: all)",
    )
    command.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="file or folder of recordings (default: ../shared/data beside the project)",
    )
    command.add_argument(
        "--subjects",
        type=whole(1, 50),
        default=1,
        metavar="N",
        help="how many people (default: 1)",
    )
    command.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="seed of everything random; the same seed repeats a run",
    )


def options_of(arguments: argparse.Namespace) -> SensorOptions:
    """Return the options that *arguments* set."""
    return SensorOptions(
        seed=arguments.seed,
        speed=arguments.speed,
        history_h=arguments.history,
        faults=_by_kind(arguments.fault),
        name=arguments.name,
        passkey=arguments.passkey,
    )


def _by_kind(chosen: Sequence[tuple[SensorKind | None, str]]) -> dict[SensorKind, tuple[str, ...]]:
    return {
        kind: tuple(text for of, text in chosen if of is None or of is kind) for kind in SensorKind
    }


def _fault(text: str) -> tuple[SensorKind | None, str]:
    sensor, colon, fault = text.rpartition(":")
    if colon and sensor not in set(SensorKind):
        raise argparse.ArgumentTypeError(f"a sensor is one of {', '.join(SensorKind)}")
    try:
        faults.parse(fault)
    except FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return SensorKind(sensor) if colon else None, fault


def _kinds(text: str) -> tuple[SensorKind, ...]:
    parts = text.split(",")
    if not set(parts) <= set(SensorKind) or len(set(parts)) < len(parts):
        raise argparse.ArgumentTypeError(f"name each once, of {', '.join(SensorKind)}")
    return tuple(map(SensorKind, parts))


def _passkey(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 6):
        raise argparse.ArgumentTypeError("six digits")
    return int(text)
