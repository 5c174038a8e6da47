"""Files: whole or not there."""

from pathlib import Path

import pytest

from trust import files
from trust.errors import KeyFileError


def test_write_replaces_only_when_told(tmp_path: Path) -> None:
    """A file that is there stays, unless replacing it was asked for."""
    files.write(tmp_path / "f", b"one", mode=files.SECRET)
    with pytest.raises(KeyFileError):
        files.write(tmp_path / "f", b"two", mode=files.SECRET)
    assert (tmp_path / "f").read_bytes() == b"one"
    files.write(tmp_path / "f", b"two", mode=files.PUBLIC, replace=True)
    assert (tmp_path / "f").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_write_into_nowhere_is_our_error(tmp_path: Path) -> None:
    """A folder that is not there is named as such."""
    with pytest.raises(KeyFileError, match="cannot be written"):
        files.write(tmp_path / "no" / "f", b"", mode=files.SECRET)


def test_folder_over_a_file_is_our_error(tmp_path: Path) -> None:
    """A file in the place of a folder is named as such."""
    (tmp_path / "f").touch()
    with pytest.raises(KeyFileError, match="cannot be made"):
        files.make_folder(tmp_path / "f")


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_no_key_is_refused(pem: bytes) -> None:
    """What is no key is refused under its name."""
    with pytest.raises(KeyFileError, match=r"a\.pub"):
        files.public_key(pem, name="a.pub")
    with pytest.raises(KeyFileError, match=r"a\.key"):
        files.private_key(pem, name="a.key")
