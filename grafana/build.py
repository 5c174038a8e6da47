"""
`python -m grafana.build`: writes the generated files, or lists with --check those
that differ.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from grafana import prometheus_files
from grafana.compile import to_json
from grafana.dashboards import cohort, database, fleet, pipeline, privacy
from grafana.rules import ALERTS, GROUPS

ROOT: Final = Path(__file__).parents[1]
BOARDS: Final = (pipeline.BOARD, fleet.BOARD, privacy.BOARD, cohort.BOARD, database.BOARD)
_RULES: Final = "vitalveil.rules.yml"


def files() -> dict[Path, str]:
    """Return every generated file, by path, with its text."""
    found = {Path(f"grafana/json/{board.uid}.json"): to_json(board) for board in BOARDS}
    prometheus = Path("grafana/prometheus")
    found[prometheus / _RULES] = prometheus_files.rules(GROUPS)
    found[prometheus / "vitalveil.tests.yml"] = prometheus_files.tests(ALERTS, rules_file=_RULES)
    runbooks = Path("docs/runbooks")
    found[runbooks / "README.md"] = prometheus_files.index(GROUPS)
    for alert in ALERTS:
        found[runbooks / f"{alert.name}.md"] = prometheus_files.runbook(alert)
    return found


def differing(root: Path, wanted: Mapping[Path, str]) -> list[Path]:
    """Return the files below *root* that are missing, differ from *wanted*, or are not in it."""
    wrong = [path for path, text in wanted.items() if _read(root / path) != text]
    for folder in {path.parent for path in wanted}:
        there = {path.relative_to(root) for path in (root / folder).glob("*") if path.is_file()}
        wrong += [path for path in there - wanted.keys() if _is_ours(root / path)]
    return sorted(wrong)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_ours(path: Path) -> bool:
    return path.suffix == ".json" or "python -m grafana.build" in (_read(path) or "")


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit code, 1 if one differs."""
    parser = argparse.ArgumentParser(prog="python -m grafana.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    arguments = parser.parse_args(argv)
    wanted = files()
    wrong = differing(ROOT, wanted)
    if arguments.check:
        for path in wrong:
            sys.stderr.write(f"{path} is not what the code says; run python -m grafana.build\n")
        return 1 if wrong else 0
    for path in wrong:
        if path not in wanted:
            (ROOT / path).unlink()
            continue
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
