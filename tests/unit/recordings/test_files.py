"""Files below a folder, also hostile ones."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from recordings import files, index
from recordings.errors import FileReason, FileRefused
from recordings.files import PassedOver, SourceFile, shown

STRAP = b"epoch_s,hr_bpm,rr_ms\n1.0,60,1000\n2.0,61,990\n"


def reasons(folder: Path) -> dict[str, str]:
    """Return why each file below *folder* is not read."""
    return {p.member or p.path.name: p.reason for p in index.find(folder).passed_over}


def test_links_devices_and_pipes_are_not_opened(tmp_path: Path) -> None:
    """A link may lead anywhere, and a pipe may never end."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret.csv").write_bytes(STRAP)
    (data / "link.csv").symlink_to(tmp_path / "secret.csv")
    (data / "folder").symlink_to(tmp_path)
    (data / "nowhere.csv").symlink_to(tmp_path / "gone")
    (data / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(data / "pipe.csv")

    assert index.find(data).recordings == []
    assert reasons(data) == {
        "link.csv": FileReason.SYMBOLIC_LINK,
        "folder": FileReason.SYMBOLIC_LINK,
        "nowhere.csv": FileReason.SYMBOLIC_LINK,
        "zero.csv": FileReason.SYMBOLIC_LINK,
        "pipe.csv": FileReason.NOT_A_FILE,
    }


def test_device_as_source_is_not_read() -> None:
    """/dev/zero never ends."""
    assert reasons(Path("/dev/zero")) == {"zero": FileReason.NOT_A_FILE}


def test_source_itself_may_be_a_link(tmp_path: Path) -> None:
    """A link that is named is followed."""
    (tmp_path / "a.csv").write_bytes(STRAP)
    (tmp_path / "link").symlink_to(tmp_path / "a.csv")

    assert [r.kind for r in index.find(tmp_path / "link").recordings] == ["polar_h10"]


def test_members_of_a_zip_are_read(tmp_path: Path) -> None:
    """An export comes as .zip from a phone; a name that climbs out of it is only a name."""
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("../../../etc/strap.csv", STRAP)
        archive.writestr("folder/", b"")
        archive.writestr("notes.md", b"# notes")
    [recording] = index.find(tmp_path).recordings
    [samples] = recording.load()

    assert len(samples) == 4
    assert recording.label == "export.zip: ../../../etc/strap.csv"
    assert reasons(tmp_path) == {"notes.md": FileReason.UNKNOWN_FORMAT}
    assert [p.name for p in tmp_path.iterdir()] == ["export.zip"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_an_archive_are_not_followed(tmp_path: Path, kind: bytes) -> None:
    """A member that is no file is named and left."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("passwd.csv")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
        good = tarfile.TarInfo("b.csv")
        good.size = len(STRAP)
        archive.addfile(good, io.BytesIO(STRAP))
    found = index.find(tmp_path)

    assert [r.label for r in found.recordings] == ["a.tar: b.csv"]
    assert reasons(tmp_path) == {"passwd.csv": FileReason.NOT_A_FILE}


def test_bomb_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more than a recording of years is refused, wherever it is packed."""
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    bomb = b"epoch_s,hr_bpm,rr_ms\n" + b"1.0,60,1000\n" * 200_000
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bomb))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.csv", bomb)
    for recording in index.find(tmp_path).recordings:
        with pytest.raises(FileRefused) as raised:
            recording.load()
        assert raised.value.reason is FileReason.TOO_LARGE


def test_archive_of_very_many_members_is_cut_off(tmp_path: Path) -> None:
    """A thousand are listed; that there are more is said."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(1_005):
            archive.writestr(f"{number}.txt", b"x")
    found = index.find(tmp_path)

    assert len(found.passed_over) == 1_001
    assert found.passed_over[-1] == PassedOver(tmp_path / "a.zip", None, FileReason.TOO_MANY_FILES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"x" * 200_000, FileReason.UNKNOWN_FORMAT, id="one long line"),
        pytest.param(b"a," * 10_000_000, FileReason.UNKNOWN_FORMAT, id="ten million columns"),
        pytest.param(b"\0" * 100_000, FileReason.NOT_TEXT, id="NUL"),
        pytest.param(b"", FileReason.UNKNOWN_FORMAT, id="empty"),
        pytest.param(b"[" * 100_000, FileReason.UNKNOWN_FORMAT, id="nested JSON"),
    ],
)
def test_hostile_content_is_named(tmp_path: Path, content: bytes, reason: FileReason) -> None:
    """Each has a reason, and costs no more than its beginning."""
    (tmp_path / "a.csv").write_bytes(content)

    assert reasons(tmp_path) == {"a.csv": reason}


def test_recognised_file_with_a_long_line_is_refused_with_its_line(tmp_path: Path) -> None:
    """A good heading does not make a long line good."""
    (tmp_path / "a.csv").write_bytes(STRAP + b"x" * 1_000_000)
    [recording] = index.find(tmp_path).recordings

    with pytest.raises(FileRefused) as raised:
        recording.load()
    assert (raised.value.reason, raised.value.line) == (FileReason.LINE_TOO_LONG, 4)


def test_name_is_shown_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    """Control characters and bytes that are no text are escaped."""
    name = os.fsdecode(b"a\x1b[2J\xff\n.csv")
    (tmp_path / name).write_bytes(b"x")
    [passed] = index.find(tmp_path).passed_over

    assert shown(tmp_path, passed.path, passed.member) == "a\\x1b[2J\\xff\\n.csv"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """Rights are a reason of their own, for files and folders."""
    (tmp_path / "a.csv").write_bytes(STRAP)
    (tmp_path / "a.csv").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)

    assert reasons(tmp_path) == {
        "a.csv": FileReason.NOT_PERMITTED,
        "closed": FileReason.NOT_PERMITTED,
    }


def test_name_of_a_file_has_no_folder() -> None:
    """Formats look at the last part only."""
    assert SourceFile(Path("a.tar"), "x/y/UoMGlucose1.csv", b"").name == "UoMGlucose1.csv"
