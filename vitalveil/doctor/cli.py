"""The command `vitalveil doctor`; exit code 1 means that it has found a fault."""

import argparse
import datetime as dt
import importlib
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from runtime.command_line import output
from runtime.command_line.parser import Parser
from runtime.errors import ConfigError, unusable
from vitalveil.doctor import broker, broker_file, interpreter, process
from vitalveil.doctor.finding import Finding, Level, wrong

_MARKS: Final = {Level.SOUND: "ok  ", Level.NOTE: "note", Level.WRONG: "BAD "}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; return 1 if one of them is a fault, otherwise 0."""
    output.prepare()
    arguments = parser().parse_args(argv)
    if not any(value for name, value in vars(arguments).items() if name in _ASKED):
        problem = "name at least one thing to check; see --help"
        output.fail("vitalveil doctor", problem, as_json=arguments.json)
        return 2
    found = list(_look(arguments))
    if arguments.json:
        output.show({"rows": msgspec.to_builtins(found)}, as_json=True)
    else:
        _print(found, everything=arguments.all)
    return 1 if any(finding.level is Level.WRONG for finding in found) else 0


_ASKED: Final = ("ingest", "trust", "broker_conf", "broker_acl", "ingest_url", "trust_url")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(
        prog="vitalveil doctor",
        description="Find faults of an installation, and say how to repair them. The doctor"
        " changes nothing. Exit code 1 means that it has found a fault.",
    )
    add = whole.add_argument
    add(
        "--ingest", type=Path, metavar="FILE",
        help="settings file of ingest: check its files, database and broker",
    )  # fmt: skip
    add(
        "--trust", type=Path, metavar="FILE",
        help="settings file of trust: check its files and the vault",
    )  # fmt: skip
    add("--broker-conf", type=Path, metavar="FILE", help="check this mosquitto.conf")
    add("--broker-acl", type=Path, metavar="FILE", help="check this acl_file of mosquitto")
    add("--ingest-url", type=_url, metavar="URL", help="check the ingest that serves HTTP here")
    add("--trust-url", type=_url, metavar="URL", help="check the trust that serves HTTP here")
    add(
        "--dsn",
        help="connection string, without a password, of a role other than ingest's with which to"
        " check the telemetry database",
    )
    add("--password-file", type=Path, metavar="FILE", help="file with the password for --dsn")
    add(
        "--least-gib", type=float, default=2.0, metavar="GIB",
        help="least free disk space (default: %(default)s)",
    )  # fmt: skip
    add("--all", action="store_true", help="also show what is in order")
    add("--json", action="store_true", help=output.JSON_HELP)
    return whole


def _url(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    # `port` raises ValueError for an invalid port, which argparse reports.
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:
        raise argparse.ArgumentTypeError("expected a URL like http://127.0.0.1:9464")
    return text


def _look(arguments: argparse.Namespace) -> Iterator[Finding]:
    now = dt.datetime.now(dt.UTC)
    if arguments.ingest or arguments.trust:
        yield interpreter.version()
        yield interpreter.look()
    if arguments.ingest:
        yield from _program(
            "ingest",
            lambda program: program.look(
                arguments.ingest,
                dsn=arguments.dsn,
                password_file=arguments.password_file,
                least_gib=arguments.least_gib,
                now=now,
            ),
        )
    if arguments.trust:
        yield from _program(
            "trust",
            lambda program: program.look(
                arguments.trust,
                broker_conf=arguments.broker_conf,
                with_broker=not arguments.ingest,
                now=now,
            ),
        )
    if arguments.broker_conf:
        yield from broker.installed()
        yield from _file("broker-conf", arguments.broker_conf, broker_file.configuration)
    if arguments.broker_acl:
        yield from _file("broker-acl-file", arguments.broker_acl, broker_file.rules)
    if arguments.ingest_url:
        yield from process.look(arguments.ingest_url, program="ingest")
    if arguments.trust_url:
        yield from process.look(arguments.trust_url, program="trust")


def _program(program: str, look: Callable[[Any], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of *look*, called with the module that checks *program*."""
    try:
        # Imported here: each needs the libraries of its program, and a machine may lack those of
        # another one.
        module = importlib.import_module(f"vitalveil.doctor.programs.{program}")
    except ModuleNotFoundError as exc:
        yield wrong(
            f"{program}-not-checked",
            f"{program} cannot be checked here, because the package {exc.name} is not installed",
            f"Run the doctor where {program} is installed, or install its packages here:"
            f" pip install 'vitalveil[{program}]'. Everything else was checked.",
        )
        return
    try:
        yield from look(module)
    except ConfigError as error:
        yield wrong(f"{program}-settings", f"{error.key}: {error.problem}", error.remedy)


def _file(code: str, path: Path, judge: Callable[[str], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        failure = unusable(path, error, key=code)
        yield wrong(code, f"{path}: {failure.problem}", failure.remedy)
        return
    yield from judge(text)


def _print(found: Sequence[Finding], *, everything: bool) -> None:
    for finding in sorted(found, key=lambda f: list(Level).index(f.level), reverse=True):
        if finding.level is Level.SOUND and not everything:
            continue
        print(f"{_MARKS[finding.level]}  {finding.code}: {finding.text}")
        if finding.remedy:
            print(f"        {finding.remedy}")
    counts = {level: sum(f.level is level for f in found) for level in Level}
    print(
        f"faults: {counts[Level.WRONG]}, notes: {counts[Level.NOTE]},"
        f" in order: {counts[Level.SOUND]}"
    )
