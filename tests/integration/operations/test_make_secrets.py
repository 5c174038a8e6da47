"""`deploy/make-secrets`: from a fresh clone, and again after a failure at any of its steps."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
STEPS: Final = ("head", "sed", "vitalveil", "cp", "chown", "sync", "mv")
"""The programs that the script runs after its folder is made."""
KILLS: Final = [
    *((step, "KILL") for step in STEPS),
    ("vitalveil", "TERM"),
    ("cp", "INT"),
    ("sed", "HUP"),
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose `make setup` was done, and whose environment is not activated."""
    made = tmp_path / "clone"
    shutil.copytree(DEPLOY, made / "deploy")
    programs = made / ".venv" / "bin"
    programs.mkdir(parents=True)
    script(programs / "vitalveil", f'exec {sys.executable} -m vitalveil "$@"')
    return made


def script(path: Path, text: str) -> None:
    """Write a program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def type_it(
    clone: Path, *more: str, first: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Type the command of the tutorial in *clone*; programs in *first* come before others."""
    path = f"{first}:{os.environ['PATH']}" if first else os.environ["PATH"]
    path = ":".join(part for part in path.split(":") if ".venv" not in part)
    return subprocess.run(
        ["deploy/make-secrets", "deploy/secrets", *more],
        cwd=clone, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(DEPLOY.parent), **environ},
    )  # fmt: skip


def complete(clone: Path) -> dict[str, bytes]:
    """Check that the secrets are complete and that nothing lies beside them; return them."""
    folder = clone / "deploy" / "secrets"
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    wanted = {
        "vv_trust.password", "pki/enrolment.key", "pki/broker.crt", "trust-keys/ca.key",
        "ingest-keys/ingest.pub", "for-grafana/grafana-admin.password",
    }  # fmt: skip
    assert wanted <= found.keys()
    before = {path.name for path in DEPLOY.iterdir()}
    assert {path.name for path in (clone / "deploy").iterdir()} - before <= {"secrets"}
    return found


def nothing(clone: Path) -> bool:
    """Return whether neither the folder nor a part of it is there."""
    return not [path for path in (clone / "deploy").iterdir() if "secrets" in path.name[:9]]


def test_command_of_the_tutorial_works_without_an_activated_environment(clone: Path) -> None:
    """The clone's own command is found; secrets are their owner's, and no path of now is kept."""
    done = type_it(clone)
    assert (done.returncode, done.stderr) == (0, "" if os.geteuid() == 0 else done.stderr)
    for name, content in complete(clone).items():
        mode = stat.S_IMODE((clone / "deploy" / "secrets" / name).stat().st_mode)
        assert mode & 0o077 == 0 or name.endswith((".crt", ".pub", ".pem")), name
        assert b"unfinished" not in content


def test_second_run_changes_nothing(clone: Path) -> None:
    """Keys are made once: the command says so, and that nothing was changed."""
    assert type_it(clone).returncode == 0
    before = complete(clone)
    again = type_it(clone)
    assert again.returncode == 1
    assert "is there already; secrets are made once, and nothing was changed" in again.stderr
    assert complete(clone) == before


@pytest.mark.parametrize(("step", "name"), KILLS)
def test_run_that_is_killed_at_a_step_is_repeated(
    clone: Path, tmp_path: Path, step: str, name: str
) -> None:
    """A signal that can be caught leaves nothing; after SIGKILL the next run removes the rest."""
    shims = tmp_path / "shims"
    if step == "vitalveil":
        # The second program of ours: the keys of trust are made, the certificates are not.
        real = clone / ".venv" / "bin" / "vitalveil"
        shutil.copy(real, tmp_path / "real")
        script(
            real, f'case "$*" in *pki*) kill -{name} $PPID;; *) exec {tmp_path}/real "$@";; esac'
        )
    else:
        script(shims / step, f"kill -{name} $PPID; sleep 0.2")
    done = type_it(clone, first=shims)
    if step == "chown" and os.geteuid() != 0:
        assert done.returncode == 0
        return
    assert done.returncode != 0
    assert not (clone / "deploy" / "secrets").exists()
    assert name == "KILL" or nothing(clone)

    if step == "vitalveil":
        shutil.copy(tmp_path / "real", clone / ".venv" / "bin" / "vitalveil")
    assert type_it(clone).returncode == 0
    complete(clone)


@pytest.mark.parametrize("words", ["init", "pki init", "keygen"])
def test_program_that_fails_leaves_nothing(clone: Path, words: str) -> None:
    """Its own message is shown, and the next run is not refused."""
    programs = clone / ".venv" / "bin"
    shutil.copy(programs / "vitalveil", programs / "real")
    script(
        programs / "vitalveil",
        f'case "$*" in *"{words}"*) echo "no room" >&2; exit 3;; esac\nexec {programs}/real "$@"',
    )
    done = type_it(clone)
    assert (done.returncode, "no room" in done.stderr) == (3, True)
    assert nothing(clone)
    shutil.copy(programs / "real", programs / "vitalveil")
    assert type_it(clone).returncode == 0
    complete(clone)


def test_clone_without_setup_is_told_what_to_do(clone: Path) -> None:
    """Nothing is made without the command, and the way to get it is named."""
    shutil.rmtree(clone / ".venv")
    done = type_it(clone)
    assert done.returncode == 1
    assert "run 'make setup' first" in done.stderr
    assert nothing(clone)


def test_two_runs_at_once_make_one_set(clone: Path, tmp_path: Path) -> None:
    """The second one is told to wait, and does not remove what the first one makes."""
    shims = tmp_path / "shims"
    script(
        shims / "sed",
        f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n"
        'exec /bin/sed "$@"',
    )
    environ = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"}
    first = subprocess.Popen(
        ["deploy/make-secrets", "deploy/secrets"], cwd=clone, env=environ,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "begun").exists():
        assert first.poll() is None
    second = type_it(clone)
    (tmp_path / "go").touch()
    assert (first.wait(60), second.returncode) == (0, 1)
    assert "Another make-secrets works" in second.stderr
    complete(clone)


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_what_is_in_the_way_is_left_alone(clone: Path, tmp_path: Path, there: str) -> None:
    """A link that was planted is not followed, and no file is written beside it."""
    place = clone / "deploy" / "secrets"
    {
        "file": place.touch,
        "link": lambda: place.symlink_to(tmp_path / "elsewhere"),
        "folder": place.mkdir,
    }[there]()
    done = type_it(clone)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_secrets_are_never_committed(tmp_path: Path) -> None:
    """Git ignores the folder of the tutorial, and what a killed run leaves beside it."""
    for name in ("deploy/secrets/vv_trust.password", "deploy/.secrets.unfinished.Ab12Cd/x.key"):
        done = subprocess.run(
            ["git", "check-ignore", "--no-index", name],
            cwd=DEPLOY.parent, check=False, capture_output=True,
        )  # fmt: skip
        if done.returncode == 128:
            pytest.skip("this is no clone")
        assert done.returncode == 0, name
