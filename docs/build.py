"""`python -m docs.build`: writes the reference from code, or with --check says what differs."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

import benchmarks.cli
import edge_agent.cli
import ingest.app
import ingest.cli
import ingest.metrics
import ingest.storage.monitor
import simulators.cli
import simulators.demo.cli
import trust.app
import trust.cli.arguments.command_line
import trust.metrics
import trust.vault.metrics
import vitalveil.doctor.cli
import vitalveil.schema
from edge_agent.bluetooth.radio.metrics import RadioMetrics
from edge_agent.config import AgentSettings
from edge_agent.metrics import Metrics as AgentMetrics
from ingest.config import Settings as IngestSettings
from runtime import supported
from runtime.certificates import Certificates
from runtime.settings import Setting, described
from trust.config import Settings as TrustSettings
from wire.quantities import all_quantities

ROOT: Final = Path(__file__).parents[1]
_HEAD: Final = "<!-- Written by `python -m docs.build`: edit the code, then run that. -->\n"
_KIND: Final = {"gauge": "gauge", "counter": "counter", "histogram": "histogram"}


def files() -> dict[Path, str]:
    """Return every page that is generated, with its text."""
    found = {
        Path("docs/metrics.md"): _metrics(),
        Path("docs/reference/configuration.md"): _configuration(),
        Path("docs/reference/quantities.md"): _quantities(),
        Path("docs/reference/versions.md"): _versions(),
    }
    # Each release of Python lays the help out in its own way: one of them is the page's.
    if sys.version_info[:2] == (3, 11):
        found[Path("docs/reference/cli.md")] = _cli()
        found[Path("docs/reference/trust-commands.md")] = trust_commands()
    return found


def _metrics() -> str:
    agent = CollectorRegistry()
    AgentMetrics(agent)
    RadioMetrics(agent)
    ends = {
        "ingest": Certificates(ingest.app.CERTIFICATE_END, {}),
        "trust": Certificates(trust.app.CERTIFICATE_END, {}),
    }
    # What looks at a database tells what there may be without one.
    programs: dict[str, list[Metric]] = {
        "ingest": [
            *ingest.metrics.Metrics().registry.collect(),
            *ingest.storage.monitor.DatabaseMonitor.describe(None),  # type: ignore[arg-type]  # uses no self
            *ends["ingest"].describe(),
        ],
        "trust": [
            *trust.metrics.Metrics().registry.collect(),
            *trust.metrics.EnrolmentMetrics().registry.collect(),
            *trust.vault.metrics.VaultMetrics.describe(None),  # type: ignore[arg-type]  # uses no self
            *ends["trust"].describe(),
        ],
        "agent": list(agent.collect()),
    }
    lines = [
        _HEAD,
        "# Metrics",
        "",
        "Each program serves its own at `/metrics`, on loopback unless told otherwise.",
        "Labels come from closed sets: none holds a person, a gateway, a sensor or a value,",
        "and the number of series does not grow with the fleet.",
        "Gateways stand in homes and are not scraped: what they count comes in their state",
        "message, and ingest shows the sums as `vitalveil_ingest_fleet_...`.",
        "Every ingest process hears every gateway: take the largest of what they show.",
    ]
    for program, families in programs.items():
        lines += [
            "",
            f"## {program}",
            "",
            "| metric | kind | labels | what |",
            "|---|---|---|---|",
        ]
        lines += [_row(family) for family in sorted(families, key=lambda f: f.name)]
    return "\n".join(lines) + "\n"


def _row(family: Metric) -> str:
    name = family.name + ("_total" if family.type == "counter" else "")
    values: dict[str, list[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le" and value not in values.setdefault(label, []):
                values[label].append(value)
    labels = "; ".join(
        f"`{label}`: {', '.join(found)}" for label, found in values.items() if found
    )
    return f"| `{name}` | {_KIND[family.type]} | {labels} | {family.documentation} |"


def _configuration() -> str:
    lines = [
        _HEAD,
        "# Configuration",
        "",
        "One TOML file for each program, given with `--config`. Each key has a twin in the",
        "environment, which wins. Unknown keys are refused. Secrets come from files alone.",
    ]
    kinds: list[tuple[str, type[msgspec.Struct]]] = [
        ("ingest", IngestSettings),
        ("agent", AgentSettings),
        ("trust", TrustSettings),
    ]
    for program, kind in kinds:
        lines += [
            "",
            f"## {program}",
            "",
            "| key | description | unit | permitted | default | example | environment |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_setting(one) for one in described(kind, program=program)]
    return "\n".join(lines) + "\n"


def _setting(one: Setting) -> str:
    default = f"`{one.default}`" if one.default else "unset"
    if one.is_required:
        default = "*required*"
        if one.optional_section:
            default += f" in `[{one.optional_section}]`, which is optional"
    cells = (
        f"`{one.key}`",
        one.description.replace("|", "\\|"),
        one.unit,
        one.permitted,
        default,
        f"`{one.example}`" if one.example else "",
        f"`{one.environment}`",
    )
    return f"| {' | '.join(cells)} |"


_COMMANDS: Final[dict[str, Callable[[], argparse.ArgumentParser]]] = {
    "agent": edge_agent.cli.parser,
    "bench": benchmarks.cli.parser,
    "demo": simulators.demo.cli.parser,
    "doctor": vitalveil.doctor.cli.parser,
    "ingest": ingest.cli.parser,
    "schema": vitalveil.schema.parser,
    "simulate": simulators.cli.parser,
    "trust": trust.cli.arguments.command_line.parser,
}

_RULES: Final = """\
`vitalveil COMMAND --help` says the same. The commands of trust are on
[their own page](trust-commands.md).

**Output.** A terminal gets tables that fit its width; a file or a pipe gets whole lines. With
`--json`, standard output holds one JSON object and nothing besides: the fields of a result,
`{"rows": [...]}` for a list, `{"ok": false, "error": "..."}` for an error, whose sentence is on
standard error as well. `agent enrol`, `agent renew`, `ingest keygen` and `ingest quarantine` print
the object into a file or a pipe without `--json`, too.

**Exit codes.** 0: done. 1: not done, or a problem was found. 2: wrong arguments or settings.
130: stopped at the keyboard.

**Completion.** `eval "$(vitalveil completion bash)"` in `~/.bashrc`, the same with `zsh` in
`~/.zshrc`, or `vitalveil completion fish > ~/.config/fish/completions/vitalveil.fish`.
"""


def _cli() -> str:
    os.environ["COLUMNS"] = "99"
    lines = [_HEAD, "# Commands", "", _RULES.rstrip()]
    for name, parser in _COMMANDS.items():
        lines += ["", f"## vitalveil {name}", "", "```text", parser().format_help().strip(), "```"]
        # The page of trust's commands has those of trust.
        for command in _below(parser()) if name != "trust" else ():
            lines += ["", f"### {command.prog}", "", "```text"]
            lines += [command.format_help().strip(), "```"]
    return "\n".join(lines) + "\n"


def _below(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    """Return the parser of each command of *parser*, and of each command of those."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield one
                yield from _below(one)


def trust_commands() -> str:
    """Return the page of trust's commands, with the help of each."""
    os.environ["COLUMNS"] = "99"
    lines = [
        _HEAD,
        "# Commands of trust",
        "",
        "`vitalveil trust COMMAND --help` says the same. `--config` and `--json` may stand before",
        "or behind a command.",
    ]
    for name, text in trust.cli.arguments.command_line.help_pages():
        lines += ["", f"## {name}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def _quantities() -> str:
    lines = [
        _HEAD,
        "# Quantities",
        "",
        "What can be measured: the unit (UCUM) of each value on the wire and in the database,",
        "the LOINC code, the resolution, and what is plausible. A value outside is refused.",
        "",
        "| code | name | unit | LOINC | resolution | plausible |",
        "|---|---|---|---|---|---|",
    ]
    for q in all_quantities():
        step = 1 / q.per_unit
        span = f"{q.low * step:g} to {q.high * step:g}"
        lines.append(
            f"| {int(q.code)} | {q.name} | {q.unit} | {q.loinc or ''} | {step:g} | {span} |"
        )
    return "\n".join(lines) + "\n"


def _versions() -> str:
    lines = [
        _HEAD,
        "# Supported versions",
        "",
        "`vitalveil doctor` and `vitalveil agent doctor` name a version that is older than the",
        "oldest or later than the newest of these.",
        "",
        "| software | oldest supported | newest tried | tried | not tried |",
        "|---|---|---|---|---|",
    ]
    for one in supported.ALL:
        tried = "<br>".join(one.tried)
        ends = f"{supported.text(one.least)} | {supported.text(one.newest)}"
        lines.append(f"| {one.name} | {ends} | {tried} | {one.untried} |")
    lines += [
        "",
        "*All tests* are those of `make test`. [Contributing](../../CONTRIBUTING.md) says how to",
        "run them with another Python or another PostgreSQL. The versions of Python libraries are",
        "pinned in `constraints.txt`.",
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write, or check; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    arguments = parser.parse_args(argv)
    wanted = files()
    wrong = [path for path, text in wanted.items() if _read(ROOT / path) != text]
    for path in wrong:
        if arguments.check:
            sys.stderr.write(f"{path} is not what the code says; run python -m docs.build\n")
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(wanted[path], encoding="utf-8")
    return 1 if wrong and arguments.check else 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
