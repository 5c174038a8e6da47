"""Every command in the documents is run, or at least exists."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import vitalveil.cli
from docs.build import main as build
from simulators.stack.system import System, system

ROOT: Final = Path(__file__).parents[3]
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"\bvitalveil((?: [a-z][a-z\-]*)+)")
_WANTS_MORE: Final = r"positional arguments:\n  (COMMAND|ACTION|VIEW)\b"
_PATH: Final = re.compile(
    r"`((?:wire|runtime|schema|formats|edge_agent|ingest|trust|simulators|vitalveil|grafana|tests|benchmarks|docs"
    r"|deploy|scripts)/[\w./*-]*)`"
)
_OPTION: Final = re.compile(r"(?<=\s)--[a-z][a-z\-]*")
_SHELLS: Final = ("sh", "console")
_KINDS: Final = {*_SHELLS, "promql", "text", "toml", "yaml"}
CONFIGURATION: Final = ROOT / "docs/reference/configuration.md"
RUN: Final = [
    ROOT / "docs" / path
    for path in (
        "tutorial/first-dashboard.md",
        "howto/add-a-quantity.md",
        "howto/add-a-policy.md",
        "howto/rotate-keys.md",
        "howto/restore-a-backup.md",
        "howto/scale-out.md",
        "howto/answer-an-access-request.md",
        "howto/virtual-sensors.md",
        "reference/wire.md",
    )
]
"""Pages whose `sh` blocks are run in their order."""
PAGES: Final = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy/README.md",
    ROOT / "grafana/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]  # fmt: skip


def _blocks(page: Path) -> list[tuple[str, str]]:
    return _BLOCK.findall(page.read_text())


@pytest.fixture(scope="module")
def whole() -> Iterator[System]:
    """A running installation with the paths that the documents name."""
    with system() as made:
        made.prepare()
        made.start_trust()
        made.start_ingest()
        yield made


def _run(script: str, whole: System, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *script* with the documents' folders and ports replaced by those of *whole*."""
    for written, here in (
        ("/etc/vitalveil/ingest-keys", str(whole.keys)),
        ("/etc/vitalveil", str(whole.folder)),
        ("http://127.0.0.1:9464", f"http://127.0.0.1:{whole.ingest_port}"),
        ("http://127.0.0.1:9465", f"http://127.0.0.1:{whole.trust_port}"),
    ):
        script = script.replace(written, here)
    programs = folder / "bin"
    programs.mkdir()
    (programs / "vitalveil").write_text(f'#!/bin/sh\nexec {sys.executable} -m vitalveil "$@"\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    (folder / "trust").symlink_to(ROOT / "trust")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True, text=True, check=False, cwd=folder,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
            "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
        },
    )  # fmt: skip


@pytest.mark.database
@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, whole: System, tmp_path: Path) -> None:
    """The commands of each page succeed in their order on a running installation."""
    script = "\n".join(text for kind, text in _blocks(page) if kind == "sh")
    assert script, "nothing to run"
    done = _run(script, whole, tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_what_is_said_to_be_run_is_run() -> None:
    """Only blocks that are run are marked `sh`, and every block has a kind."""
    for page in PAGES:
        kinds = [kind for kind, _ in _blocks(page)]
        assert set(kinds) <= _KINDS, page
        assert page in RUN or "sh" not in kinds, page
        fences = re.findall(r"^```", page.read_text(), re.MULTILINE)
        assert len(fences) == 2 * len(kinds), f"{page}: a block without a kind"


def test_settings_that_are_named_exist() -> None:
    """Every setting in a `toml` block is in the reference, which is generated from the code."""
    known = set(re.findall(r"`([a-z_0-9.]+)`", CONFIGURATION.read_text()))
    named = {
        key
        for page in PAGES
        for kind, text in _blocks(page)
        # A table with a quoted name is not a section of settings, but a model of a sensor.
        if kind == "toml" and '["' not in text
        for key in _keys(tomllib.loads(text))
    }
    assert len(named) > 5
    assert sorted(named - known) == []


def _keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _commands(page: Path) -> set[tuple[str, ...]]:
    """Return every `vitalveil ...` command with its sub-commands in the blocks of *page*."""
    texts = [text for kind, text in _blocks(page) if kind in _SHELLS]
    found: set[tuple[str, ...]] = set()
    for text in texts:
        for line in text.splitlines():
            if not line.lstrip().startswith("#"):
                found |= {tuple(words.split()) for words in _COMMAND.findall(line)}
    return found


def _help(command: tuple[str, ...]) -> str | None:
    """Return the help of *command*; None if there is no such command."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()):
        try:
            code: object = vitalveil.cli.main([*command, "--help"])
        except SystemExit as end:
            code = end.code
    return told.getvalue() if code in (0, None) else None


def _known(command: tuple[str, ...]) -> bool:
    """Tell whether *command* exists; words at its end may be arguments."""
    for length in range(len(command), 0, -1):
        text = _help(command[:length])
        if text is not None:
            # A command that requires a sub-command rejects any other word.
            return length == len(command) or not re.search(_WANTS_MORE, text)
    return False


def test_every_command_that_is_named_exists() -> None:
    """Every command in the documents exists, also in blocks that cannot be run here."""
    commands = set().union(*(_commands(page) for page in PAGES))
    assert len(commands) > 15
    assert [command for command in sorted(commands) if not _known(command)] == []


def _unknown_options(script: str) -> set[str]:
    """Return the options in *script* that their command's help does not list."""
    unknown: set[str] = set()
    for line in script.replace("\\\n", " ").splitlines():
        # Text after a pipe, or for another program, is not checked.
        for part in re.split(r"[|;]|&&", line.split(" #")[0]):
            called = _COMMAND.search(part)
            if called is None or line.lstrip().startswith("#"):
                continue
            words = called.group(1).split()
            helps = [_help(tuple(words[:length])) or "" for length in range(1, len(words) + 1)]
            told = set(_OPTION.findall(" ".join(helps).replace("[", " ")))
            unknown |= set(_OPTION.findall(part[called.end() :])) - told
    return unknown


def test_every_option_that_is_named_exists() -> None:
    """Every option in the documents is in the help of its command or of the command above it."""
    texts = [text for page in PAGES for kind, text in _blocks(page) if kind in _SHELLS]
    assert set().union(*map(_unknown_options, texts)) == set()
    assert _unknown_options("vitalveil trust migrate --nonsense x --dsn y") == {"--nonsense"}


def test_every_target_of_make_exists() -> None:
    """Every make target in the documents exists."""
    targets = set(re.findall(r"^([a-z][a-z\-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [text for page in PAGES for kind, text in _blocks(page) if kind in _SHELLS]
    named = {name for text in texts for name in re.findall(r"\bmake ([a-z][a-z\-]*)", text)}
    assert {"demo", "test", "check"} <= named
    assert sorted(named - targets) == []


def test_a_command_that_is_none_is_noticed() -> None:
    """A command that does not exist is detected: the tests above can fail."""
    assert not _known(("trust", "nonsense"))
    assert not _known(("trust", "decision", "nonsense"))
    assert not _known(("ingest", "nonsense"))
    assert not _known(("simulate", "nonsense"))
    assert not _known(("nonsense",))
    assert _known(("trust", "decision", "list"))


def _every_page() -> list[Path]:
    told = subprocess.run(
        ["git", "ls-files", "*.md"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return [ROOT / name for name in told.stdout.splitlines()] or PAGES


def _anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of *page*, in GitHub's spelling."""
    text = _BLOCK.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def _broken(page: Path) -> list[str]:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", _BLOCK.sub("", page.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(f"{page.name}: {target}")
    return broken


def test_links_lead_somewhere() -> None:
    """Every link to a file of this repository, or to a heading in it, is valid in every page."""
    pages = _every_page()
    assert len(pages) > 60
    assert [link for page in pages for link in _broken(page)] == []


def test_files_that_are_named_are_there() -> None:
    """Every path between backticks is an existing file or folder; `*` is a wildcard."""
    named = {
        (page.name, path) for page in _every_page() for path in _PATH.findall(page.read_text())
    }
    assert len(named) > 50
    # Made by `deploy/make-secrets`, and never committed.
    made = "deploy/secrets/"
    gone = {one for one in named if not one[1].startswith(made) and not [*ROOT.glob(one[1])]}
    assert gone == set()


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    """A link to a missing file or heading is detected."""
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](#one-thing) [b](no.md) [c](page.md#other) [d](page.md)\n")
    assert _broken(page) == ["page.md: no.md", "page.md: page.md#other"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("ours ÷ limit, 30 readings", r"stores ([\d.]+) of what a binary COPY"),
        ("1 reading: ours ÷ broker ceiling", r"takes ([\d.]+) of what the broker"),
        ("ingest CPU, µs a message", r"costs ([\d.]+) µs of CPU a message"),
        ("handed to write(2), MB a day", r"writes ([\d.]+) MB a day"),
        ("the same in pages of 4 KiB, MB a day", r"which are ([\d.]+) MB in pages"),
    ],
)
def test_missed_targets_say_what_was_measured(row: str, said: str) -> None:
    """Each figure in the list of missed targets equals the last one in the table of the notes."""
    text = (ROOT / "benchmarks/NOTES.md").read_text()
    missed = text.partition("## Targets that are missed")[2].partition("\n## ")[0]
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    measured = re.search(r"[\d.]+", line.strip("| ").rpartition("|")[2])
    told = re.search(said, missed)
    assert measured is not None
    assert told is not None
    assert told.group(1) == measured.group()


ARCHITECTURE: Final = ROOT / "docs/ARCHITECTURE.md"
_STEP: Final = re.compile(r"^(\d+)\. (`([\w/.]+)`)?", re.MULTILINE)


def _walks(text: str) -> dict[str, list[tuple[int, str]]]:
    """Return the numbered steps of each section of *text* that has steps, with their files."""
    sections = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)[1:]
    walks = zip(sections[::2], map(_STEP.findall, sections[1::2]), strict=True)
    return {
        heading: [(int(number), path) for number, _, path in steps]
        for heading, steps in walks
        if steps
    }


def _faults_of_walks(text: str) -> list[str]:
    """
    Return the errors of the walks in *text*: a gap in the numbers, a missing file, or a repeated
    file.
    """
    faults = []
    for heading, steps in _walks(text).items():
        passed: set[str] = set()
        for expected, (number, path) in enumerate(steps, start=1):
            if number != expected or not (ROOT / path).is_file() or path in passed:
                faults.append(f"{heading}: {number} {path}")
            passed.add(path)
    return faults


def test_walks_name_a_file_for_each_step_and_never_return_to_one() -> None:
    """
    Each step of the walks of a heart beat, a receipt, a withdrawal and an erasure names a new
    file.
    """
    text = ARCHITECTURE.read_text()
    assert [heading.split()[-1] for heading in _walks(text)] == [
        "beat", "receipt", "withdrawal", "erasure",
    ]  # fmt: skip
    assert _faults_of_walks(text) == []


def test_a_wrong_step_of_a_walk_is_noticed() -> None:
    """A missing file, a repeated file and a missing number in a walk are detected."""
    text = "## A walk\n1. `wire/lease.py` a\n2. `wire/gone.py` b\n4. `wire/lease.py` c\n"
    assert _faults_of_walks(text) == ["A walk: 2 wire/gone.py", "A walk: 4 wire/lease.py"]


def test_every_path_of_the_architecture_exists() -> None:
    """Every path between backticks in the architecture is an existing file or folder."""
    text = ARCHITECTURE.read_text()
    named = set(re.findall(r"`([\w.][\w./-]*/[\w./-]*)`", text))
    assert len(named) > 60
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_decision_is_listed_with_its_title() -> None:
    """Every decision is in the list with its title."""
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text()
    pages = sorted(folder.glob("0*.md"))
    assert len({page.name[:4] for page in pages}) == len(pages) > 25
    missing = []
    for page in pages:
        number, _, title = page.read_text().splitlines()[0].removeprefix("# ").partition(": ")
        if f"- [{number}]({page.name}): {title}\n" not in listed:
            missing.append(page.name)
    assert missing == []


def test_every_room_has_a_line_in_the_architecture() -> None:
    """Every package of a program has a line in the architecture."""
    text = ARCHITECTURE.read_text()
    rooms = [
        f"{program}/{folder.name}/"
        for program in ("edge_agent", "ingest", "trust")
        for folder in sorted((ROOT / program).iterdir())
        if (folder / "__init__.py").exists()
    ]
    assert len(rooms) > 25
    assert [room for room in rooms if f"| `{room}` |" not in text] == []


def test_the_reference_is_what_the_code_says() -> None:
    """
    The reference pages of metrics, settings, commands and quantities equal those generated from
    the code.
    """
    assert build(["--check"]) == 0
