"""Files with secrets, in folders where an attacker may have planted links and files."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import files
from runtime.files import UnsafePlace

SECRET = b"-----BEGIN PRIVATE KEY-----"

WRITERS: dict[str, Callable[[Path], None]] = {
    "write": lambda path: files.write(path, SECRET),
    "write new": lambda path: files.write(path, SECRET, replace=False),
    "create": lambda path: create(path),
    "append": lambda path: files.append(path, SECRET),
}


def create(path: Path) -> None:
    """Write by `files.create`."""
    with files.create(path) as file:
        file.write(SECRET)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set the umask of the process."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permissions of *path*."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.usefixtures("umask")
def test_secret_is_its_owners_alone_whatever_the_umask(
    tmp_path: Path, writer: Callable[[Path], None]
) -> None:
    """A secret file is readable and writable by its owner only, under any umask."""
    writer(tmp_path / "key")
    assert (mode(tmp_path / "key"), (tmp_path / "key").read_bytes()) == (0o600, SECRET)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.usefixtures("umask")
def test_public_file_may_be_read(tmp_path: Path) -> None:
    """A public file is readable by all, because the broker must read certificates."""
    files.write(tmp_path / "crt", b"x", mode=files.PUBLIC)
    assert mode(tmp_path / "crt") == 0o644


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("target", ["there", "absent", "folder"])
def test_symbolic_link_is_never_written_through(
    tmp_path: Path, writer: Callable[[Path], None], target: str
) -> None:
    """A symbolic link is never followed: the link stays, and its target is not written."""
    elsewhere = tmp_path / "elsewhere"
    if target == "there":
        elsewhere.write_bytes(b"of another")
    elif target == "folder":
        elsewhere.mkdir()
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "key").symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"key|exists"):
        writer(folder / "key")
    assert (folder / "key").is_symlink()
    assert [path.name for path in folder.iterdir()] == ["key"]
    if target == "there":
        assert elsewhere.read_bytes() == b"of another"
    else:
        assert not elsewhere.is_file()


@pytest.mark.parametrize("suffix", [".new", ".part", ".tmp", ".next"])
def test_names_that_can_be_guessed_are_not_used(tmp_path: Path, suffix: str) -> None:
    """Temporary names cannot be guessed, so that planted links get no secret."""
    stolen = tmp_path / "stolen"
    for name in (f".key{suffix}", f"key{suffix}", f".key.key{suffix}"):
        (tmp_path / name).symlink_to(stolen)
    files.write(tmp_path / "key", SECRET)
    assert not stolen.exists()
    assert (tmp_path / "key").read_bytes() == SECRET


@pytest.mark.parametrize("old", [0o666, 0o644, 0o400, 0o777], ids=oct)
def test_file_that_was_there_gives_its_mode_to_nothing(tmp_path: Path, old: int) -> None:
    """
    A replaced file passes on neither its mode nor its content; an open handle still reads the old
    file.
    """
    path = tmp_path / "key"
    path.write_bytes(b"old")
    path.chmod(old)
    with path.open("rb") as opened:
        files.write(path, SECRET)
        assert opened.read() == b"old"
    assert mode(path) == 0o600


def test_second_name_of_a_file_keeps_what_was_there(tmp_path: Path) -> None:
    """
    A hard link to the old file keeps the old content, and an append to such a file is
    refused.
    """
    path, other = tmp_path / "key", tmp_path / "other"
    path.write_bytes(b"old")
    other.hardlink_to(path)
    with pytest.raises(UnsafePlace, match="second name"):
        files.append(path, SECRET)
    files.write(path, SECRET)
    assert other.read_bytes() == b"old"


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("open_to", [0o777, 0o757, 0o702], ids=oct)
def test_folder_that_others_may_write_is_refused(
    tmp_path: Path, writer: Callable[[Path], None], open_to: int
) -> None:
    """
    A folder that others can write to is refused with its name and the remedy, and nothing is
    written.
    """
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(open_to)
    with pytest.raises(UnsafePlace, match="folder shared: run chmod go-w"):
        writer(folder / "key")
    assert not list(folder.iterdir())


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_sticky_folder_is_used(tmp_path: Path, writer: Callable[[Path], None]) -> None:
    """A sticky folder such as /tmp is accepted, because others cannot remove files there."""
    tmp_path.chmod(0o1777)
    writer(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == SECRET


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_file_that_is_replaced_keeps_its_owner(tmp_path: Path) -> None:
    """
    A replaced file keeps its owner, so that a service can still read a certificate renewed by
    root.
    """
    path = tmp_path / "key"
    path.write_bytes(b"old")
    os.chown(path, 10001, 10001)
    files.write(path, SECRET)
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (10001, 10001, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_folder_of_another_group_is_refused(tmp_path: Path) -> None:
    """A folder that a foreign group can write to is refused; the user's own group is accepted."""
    tmp_path.chmod(0o770)
    files.write(tmp_path / "key", SECRET)
    os.chown(tmp_path, 0, 10001)
    with pytest.raises(UnsafePlace):
        files.write(tmp_path / "key", SECRET)


def test_nothing_is_overwritten_unless_it_is_meant(tmp_path: Path) -> None:
    """
    An existing file is not overwritten without `replace`, even if it appears during the
    call.
    """
    (tmp_path / "key").write_bytes(b"old")
    for writer in ("write new", "create"):
        with pytest.raises(FileExistsError):
            WRITERS[writer](tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


_CUT = """
import os, sys
from pathlib import Path
from runtime import files

os.fsync = lambda _descriptor: os._exit(9)
files.write(Path(sys.argv[1]), b"new")
"""


def test_power_cut_leaves_the_old_file_and_says_where_the_rest_is(tmp_path: Path) -> None:
    """After a power cut the old file is there, and `unfinished` finds the temporary one."""
    path = tmp_path / "key"
    path.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", _CUT, str(path)], check=False).returncode == 9
    assert path.read_bytes() == b"old"
    (left,) = files.unfinished(path)
    assert (left.read_bytes(), mode(left)) == (b"new", 0o600)
    assert not files.unfinished(tmp_path / "other")
