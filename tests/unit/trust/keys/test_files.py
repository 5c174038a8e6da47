"""Files are written completely or not at all."""

import datetime as dt
import os
import stat
import uuid
from pathlib import Path

import pytest

from trust.errors import KeyFileError
from trust.keys import files
from trust.vault.erasure_file import LedgerFile
from trust.vault.records.erasures import Erasure, LedgerEntry


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The content of a folder each time that it was synced."""
    seen: list[set[str]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            seen.append(set(os.listdir(descriptor)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    return seen


def test_a_written_file_keeps_its_name(tmp_path: Path, synced: list[set[str]]) -> None:
    """After writing a file the folder is synced, because a file without a name is lost."""
    files.write(tmp_path / "epoch.key", b"secret", mode=files.SECRET)

    assert synced == [{"epoch.key"}]


def test_a_destroyed_file_stays_away(tmp_path: Path, synced: list[set[str]]) -> None:
    """After destroying a file the folder is synced."""
    (tmp_path / "epoch.key").write_bytes(b"secret")

    assert files.destroy(tmp_path / "epoch.key")

    assert synced == [set()]


def test_the_ledgers_file_keeps_its_name(tmp_path: Path, synced: list[set[str]]) -> None:
    """The first line of the ledger's file and its count survive a power cut."""
    at = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
    entry = LedgerEntry(Erasure(1, uuid.UUID(int=1), None, at), "{}", b"signature")

    LedgerFile(tmp_path / "erasures.jsonl").append(entry)

    assert synced == [{"erasures.jsonl"}, {"erasures.jsonl", "erasures.jsonl.count"}]


def test_write_replaces_only_when_told(tmp_path: Path) -> None:
    """An existing file is replaced only if requested."""
    files.write(tmp_path / "f", b"one", mode=files.SECRET)
    with pytest.raises(KeyFileError):
        files.write(tmp_path / "f", b"two", mode=files.SECRET)
    assert (tmp_path / "f").read_bytes() == b"one"
    files.write(tmp_path / "f", b"two", mode=files.PUBLIC, replace=True)
    assert (tmp_path / "f").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_write_into_nowhere_is_our_error(tmp_path: Path) -> None:
    """A missing folder raises the declared error."""
    with pytest.raises(KeyFileError, match="cannot be written"):
        files.write(tmp_path / "no" / "f", b"", mode=files.SECRET)


def _is_ours(head: bytes) -> bool:
    return b"magic".startswith(head)


def test_discard_takes_what_was_cut_off_with_it(tmp_path: Path) -> None:
    """`discard` also deletes the temporary file of an interrupted write, and can be repeated."""
    export = tmp_path / "export"
    export.write_bytes(b"magic and whole")
    files.unfinished(export).write_bytes(b"mag")

    for _ in range(2):
        files.discard(export, is_ours=_is_ours, head_bytes=5)

        assert list(tmp_path.iterdir()) == []


def test_discard_takes_no_other_file(tmp_path: Path) -> None:
    """`discard` keeps a file whose content does not begin as expected."""
    key = tmp_path / "key"
    key.write_bytes(b"Magic")

    with pytest.raises(KeyFileError, match="not what the record says"):
        files.discard(key, is_ours=_is_ours, head_bytes=5)

    assert key.exists()


def test_what_cannot_be_deleted_is_our_error(tmp_path: Path) -> None:
    """A file that cannot be deleted raises the declared error with its name."""
    (tmp_path / "export").mkdir()
    with pytest.raises(KeyFileError, match=r"export: it cannot be deleted"):
        files.discard(tmp_path / "export", is_ours=_is_ours, head_bytes=5)


def test_folder_over_a_file_is_our_error(tmp_path: Path) -> None:
    """A file in place of a folder raises the declared error."""
    (tmp_path / "f").touch()
    with pytest.raises(KeyFileError, match="cannot be made"):
        files.make_folder(tmp_path / "f")


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_no_key_is_refused(pem: bytes) -> None:
    """An invalid key is refused by its name."""
    with pytest.raises(KeyFileError, match=r"a\.pub"):
        files.public_key(pem, name="a.pub")
    with pytest.raises(KeyFileError, match=r"a\.key"):
        files.private_key(pem, name="a.key")
