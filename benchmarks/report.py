"""The report of a run: the figures as JSON, and as tables beside their targets."""

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.rounds import Figure, Sample, Table, figure, line
from benchmarks.world.world import World

_RATIOS: Final = {
    "limit_30": ("ours_30", "limit_30"),
    "limit_300": ("ours_300", "limit_300"),
    "bare_copy_30": ("ours_30", "bare_30"),
    "broker_ceiling_1": ("ours_1", "ceiling_1"),
    "paho_psycopg": ("ours_30", "paho"),
    "gmqtt_asyncpg": ("ours_30", "gmqtt"),
    "telegraf": ("ours_30", "telegraf"),
}
_LIBRARIES: Final = (
    "vitalveil", "mqtt5", "msgspec", "numpy", "psycopg", "cryptography", "uvloop",
    "paho-mqtt", "gmqtt", "asyncpg",
)  # fmt: skip


class Target(msgspec.Struct, frozen=True):
    """The target of a figure."""

    text: str
    path: tuple[str, ...]
    bound: float
    is_ceiling: bool = False
    """Whether less is better."""
    aim: float | None = None

    def holds(self, value: float) -> bool:
        """Tell whether *value* reaches the target."""
        return value <= self.bound if self.is_ceiling else value >= self.bound


TARGETS: Final = (
    Target("ours ÷ limit, 30 readings", ("ratios", "limit_30"), 0.80, aim=0.90),
    Target("ours ÷ limit, 300 readings", ("ratios", "limit_300"), 0.90),
    Target("ours ÷ COPY into a bare table, 30 readings", ("ratios", "bare_copy_30"), 0.0, aim=0.5),
    Target("ours ÷ broker ceiling, 1 reading", ("ratios", "broker_ceiling_1"), 0.50),
    Target("ours ÷ paho + psycopg", ("ratios", "paho_psycopg"), 8, aim=20),
    Target("ours ÷ gmqtt + asyncpg", ("ratios", "gmqtt_asyncpg"), 1.5, aim=3),
    Target("ours ÷ Telegraf", ("ratios", "telegraf"), 0.0),
    Target("ingest CPU, µs a message", ("cpu_us_per_message",), 12, is_ceiling=True),
    Target("ingest CPU, ns a reading", ("cpu_ns_per_reading",), 100, is_ceiling=True),
    Target("p99 measured → queryable, ms", ("latency_ms", "p99"), 500, is_ceiling=True),
    Target(
        "bytes a handle, of a million", ("permissions", "bytes_per_handle"), 250, is_ceiling=True
    ),
    Target("start with a million handles, s", ("permissions", "start_s"), 10, is_ceiling=True),
    Target("withdrawal known, ms", ("permissions", "withdrawal_ms"), 100, is_ceiling=True),
    Target("wire, bytes a reading", ("wire_bytes_per_reading",), 5, is_ceiling=True),
)


class Findings:
    """Collects figures under their JSON names, each with its rounds."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._rounds: dict[str, Any] = {}

    def put(self, found: Figure, *path: str) -> None:
        """Record *found* under *path*."""
        for tree, leaf in ((self._values, found.median), (self._rounds, found.rounds)):
            *sections, name = path
            for section in sections:
                tree = tree.setdefault(section, {})
            tree[name] = leaf

    def get(self, path: tuple[str, ...]) -> float | None:
        """Return the median under *path*; None if there is none."""
        place: Any = self._values
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        return place if isinstance(place, float) else None

    def as_dict(self) -> dict[str, Any]:
        """Return all medians, and all rounds under `rounds`."""
        return {**self._values, "rounds": self._rounds}

    def note_throughput(self, table: Table) -> None:
        """Record the ratios, the rates, and the processor time of ingest."""
        for name, (ours, other) in _RATIOS.items():
            if ours in table and other in table:
                self.put(table.ratio(ours, other), "ratios", name)
        for name in table.samples:
            self.put(table.figure(name), "readings_per_s", name)
        by_readings = [n for n in (1, 30, 300) if f"ours_{n}" in table]
        self._note_cpu(table, by_readings)
        ours = "ours_30"
        self.put(table.figure(ours, "disk_bytes_per_reading"), "disk_bytes_per_reading")
        self.put(table.figure(ours, "ledger_bytes_per_reading"), "ledger_bytes_per_reading")
        self.put(table.figure(ours, "log_bytes_per_reading"), "log_bytes_per_reading")
        peaks = [table.figure(f"ours_{n}", "peak_rss_mb") for n in by_readings]
        self.put(max(peaks, key=lambda peak: peak.median), "peak_rss_mb")

    def _note_cpu(self, table: Table, by_readings: list[int]) -> None:
        costs = {n: table.figure(f"ours_{n}", "cpu_us_per_message") for n in by_readings}
        for readings, cost in costs.items():
            self.put(cost, "cpu_us_by_readings", str(readings))
        if len(costs) < 2:
            return
        # A contender that took part in more rounds than others has no line for the additional
        # ones.
        lines = [
            line(dict(zip(costs, points, strict=True)))
            for points in zip(*(cost.rounds for cost in costs.values()), strict=False)
        ]
        self.put(figure(intercept for intercept, _ in lines), "cpu_us_per_message")
        self.put(figure(slope * 1000 for _, slope in lines), "cpu_ns_per_reading")

    def note_variants(self, table: Table) -> None:
        """Record the rates of our other forms, relative to the usual form."""
        for name in ("json", "two_workers", "bad_input"):
            self.put(table.ratio(name, "sealed", "messages_per_s"), "ratios", f"{name}_to_sealed")
            self.put(table.figure(name), "readings_per_s", name)

    def note_samples(self, samples: list[Sample], section: str) -> None:
        """Record every figure of *samples*, one round per sample."""
        for key in samples[0]:
            self.put(figure(sample[key] for sample in samples), section, key)


def describe(world: World) -> dict[str, Any]:
    """Return the machine, the versions and the settings."""
    settings = world.telemetry.fetch(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('fsync',"
        " 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size',"
        " 'wal_compression', 'server_version', 'wal_sync_method', 'track_commit_timestamp')"
    )
    extensions = world.telemetry.fetch("SELECT extname, extversion FROM pg_extension")
    return {
        "machine": {
            "processors": len(_processors()),
            "model": _processors()[0] if _processors() else platform.processor(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "versions": {
            **{name: version(name) for name in _LIBRARIES if _is_installed(name)},
            "mosquitto": _first_line("mosquitto", "-h"),
            "telegraf": _first_line("telegraf", "--version"),
            **dict(extensions),
        },
        "settings": dict(settings),
    }


def _processors() -> list[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return [text.partition(":")[2].strip() for text in lines if text.startswith("model name")]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except ModuleNotFoundError:
        return False
    return True


def _first_line(program: str, option: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        return "none"
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["?"])[0]


def show(findings: Findings, console: Console) -> None:
    """Print every figure that has a target, with it; then all other figures."""
    table = RichTable("figure", "found", "rounds", "must", "aim", "")
    rounds = findings.as_dict()["rounds"]
    for target in TARGETS:
        value = findings.get(target.path)
        if value is None:
            continue
        place = rounds
        for name in target.path:
            place = place[name]
        must = "≤ " if target.is_ceiling else "≥ "
        table.add_row(
            target.text,
            _short(value),
            f"{_short(min(place))} … {_short(max(place))}",
            must + _short(target.bound) if target.bound else "reported",
            "" if target.aim is None else _short(target.aim),
            "reached" if target.holds(value) else "[red]missed[/red]",
        )
    console.print(table)
    others = RichTable("figure", "found")
    for name, value in _flat(findings.as_dict()):
        if not name.startswith("rounds"):
            others.add_row(name, _short(value))
    console.print(others)


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in tree.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            found.append((prefix + name, value))
    return found


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
