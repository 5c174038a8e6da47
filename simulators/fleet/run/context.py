"""What a report says about its run: when, with which command and versions, on which machine."""

import argparse
import contextlib
import datetime as dt
import os
import platform
import shlex
from pathlib import Path
from typing import Final

from runtime.version import VERSION
from simulators.fleet.errors import UnansweredError
from simulators.fleet.report.ledger import Ledger
from simulators.fleet.report.report import Context
from simulators.fleet.run.site import Site

_CPUS: Final = Path("/proc/cpuinfo")
_HIDDEN: Final = "…"
_ADDRESSES: Final = ("broker", "dsn")
"""Options whose value is an address, perhaps with a password: shown as given, without it."""
_VALUES: Final = (
    "agents", "scale_time", "seed", "workers", "ingest_port", "programs", "roster", "record",
    "replay", "json", "html",
)  # fmt: skip
_USUAL: Final = {"scale_time": 1.0, "workers": 1}


def command_of(arguments: argparse.Namespace) -> str:
    """
    Return the command that *arguments* come from, as it can be shown to anyone.

    Addresses are left out, and files have their names only.
    """
    words = ["vitalveil", "simulate", "fleet", Path(arguments.scenario).name]
    if arguments.with_stack:
        words.append("--with-stack")
    for name in (*_ADDRESSES, *_VALUES):
        value = getattr(arguments, name)
        if value is not None and value != _USUAL.get(name):
            words += [f"--{name.replace('_', '-')}", _shown(name, value)]
    for limit in arguments.fail_if:
        words += ["--fail-if", shlex.quote(limit)]
    return " ".join(words)


def _shown(name: str, value: object) -> str:
    if name in _ADDRESSES:
        return _HIDDEN
    if isinstance(value, Path):
        return shlex.quote(value.name)
    return f"{value:g}" if isinstance(value, float) else str(value)


def context_of(site: Site, *, began_at: float, command: str) -> Context:
    """
    Return the context of a run that ends now.

    Args:
        site: The system that was loaded.

        began_at: When the run began, in seconds since 1970.

        command: The command, from `command_of`.
    """
    versions = {"VitalVeil": VERSION, "Python": platform.python_version(), **site.versions}
    if site.dsn is not None:
        # The report says already when the database did not answer.
        with contextlib.suppress(UnansweredError):
            versions |= Ledger(site.dsn).versions()
    return Context(
        began_at=_time(dt.datetime.fromtimestamp(began_at, dt.UTC)),
        ended_at=_time(dt.datetime.now(dt.UTC)),
        command=command,
        versions=versions,
        host=host(),
    )


def _time(at: dt.datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def host() -> str:
    """Return system, processor, cores and memory of this machine, without its name."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    parts = [
        f"{platform.system()} {platform.release()} {platform.machine()}",
        _processor(),
        f"{os.cpu_count() or 0} cores",
        f"{memory_gb:.0f} GB of memory",
    ]
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    try:
        lines = _CPUS.read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
