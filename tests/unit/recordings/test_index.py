"""Every recording below a folder, in its original format."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recordings import attribution, files, index
from recordings.errors import FileReason, FileRefused, NothingInIt, Unreadable
from recordings.options import NO_OPTIONS, ReadOptions
from recordings.tally import ParseTally
from simulators.people.people import DEFAULT_SOURCE

GLUCOSE = b"bg_ts,value\r\n08/10/2023 00:03,11.1\r\n08/10/2023 00:08,11.3\r\n"
SLEEP = b"sleep_ts,step_count,heart_rate\r\n08/10/2023 00:00,0,61\r\n08/10/2023 00:05,0,62\r\n"
STRAP = b"epoch_s,hr_bpm,rr_ms\n1.0,60,1000\n2.0,61,990\n"

recorded = pytest.mark.skipif(
    not DEFAULT_SOURCE.is_dir(), reason="the recordings are not beside the project"
)


def write_archive(path: Path) -> None:
    """Write an archive with one person of T1D-UOM."""
    with tarfile.open(path, "w:xz") as archive:
        for name, content in (
            ("README.md", b"# about"),
            ("Sleep Data/UoMsleep7.csv", SLEEP),
            ("Glucose Data/UoMGlucose7.csv", GLUCOSE),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    """Two members of one person are one recording: heart rate first, then glucose."""
    write_archive(tmp_path / "data.tar.xz")
    [recording] = index.find(tmp_path).recordings
    heart_rates, glucose = recording.load()

    assert [s.value for s in heart_rates] == [61.0, 62.0]
    assert [s.value for s in glucose] == [11.1, 11.3]
    assert list(tmp_path.iterdir()) == [tmp_path / "data.tar.xz"]


def test_extracted_folder_is_the_same_as_the_archive(tmp_path: Path) -> None:
    """The extracted folder gives the same recording as the archive."""
    write_archive(tmp_path / "data.tar.xz")
    folder = tmp_path / "extracted"
    for name, content in (
        ("Sleep Data/UoMsleep7.csv", SLEEP),
        ("Glucose/UoMGlucose7.csv", GLUCOSE),
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
    [packed] = index.find(tmp_path / "data.tar.xz").recordings
    [extracted] = index.find(folder).recordings

    assert packed.load() == extracted.load()


def test_gz_is_read_like_a_plain_file(tmp_path: Path) -> None:
    """A gzip file gives the same recording as the plain one."""
    (tmp_path / "a.csv").write_bytes(STRAP)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(STRAP))
    plain, packed = index.find(tmp_path).recordings

    assert plain.load() == packed.load()


def test_source_may_be_one_file(tmp_path: Path) -> None:
    """If the source is a file, its folder is not searched."""
    (tmp_path / "a.csv").write_bytes(STRAP)
    (tmp_path / "b.csv").write_bytes(STRAP)

    assert [r.label for r in index.find(tmp_path / "a.csv").recordings] == ["a.csv"]


def test_damaged_file_is_counted_and_the_others_are_found(tmp_path: Path) -> None:
    """A damaged file is counted, and the others are found."""
    (tmp_path / "a.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "b.tar.xz").write_bytes(b"not xz")
    (tmp_path / "c.csv").write_bytes(STRAP)
    found = index.find(tmp_path)

    assert [p.reason for p in found.passed_over] == [FileReason.DAMAGED] * 2
    assert [r.label for r in found.recordings] == ["c.csv"]


def test_file_that_ends_early_is_unreadable(tmp_path: Path) -> None:
    """A gzip file that ends early is found and raises an error when it is read."""
    rows = b"".join(b"%d.0,60,%d\n" % (i, 900 + i * 7919 % 90) for i in range(50_000))
    packed = gzip.compress(b"epoch_s,hr_bpm,rr_ms\n" + rows)
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    [recording] = index.find(tmp_path).recordings

    with pytest.raises(Unreadable):
        recording.load()


def test_recording_without_a_measurement_says_so(tmp_path: Path) -> None:
    """A recording with only a heading holds no measurement."""
    (tmp_path / "a.csv").write_bytes(b"epoch_s,hr_bpm,rr_ms\n")

    with pytest.raises(NothingInIt):
        index.find(tmp_path).recordings[0].load()


def test_other_files_are_no_recordings(tmp_path: Path) -> None:
    """Pictures, prose and other people's CSV are left alone, each with a reason."""
    (tmp_path / "a.csv").write_bytes(b"name,age\nA,1\n")
    (tmp_path / "notes.txt").write_bytes(b"call back\nat noon\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    found = index.find(tmp_path)

    assert found.recordings == []
    assert [(p.path.name, p.reason) for p in found.passed_over] == [
        ("a.csv", FileReason.UNKNOWN_FORMAT),
        ("notes.txt", FileReason.UNKNOWN_FORMAT),
        ("picture.png", FileReason.NOT_TEXT),
    ]


def test_mark_of_byte_order_and_odd_bytes_are_no_obstacle(tmp_path: Path) -> None:
    """A byte order mark is skipped, and invalid bytes affect only their row."""
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + STRAP + b"\xff\xfe,60,800\n3.0,62,\n")
    tally = ParseTally()
    [samples] = index.find(tmp_path).recordings[0].load(tally)

    assert samples[-1].value == 62.0
    assert tally.bad == {"bad_time": 1}


def test_own_file_has_no_attribution(tmp_path: Path) -> None:
    """Attribution is given only to files of the published data."""
    (tmp_path / "a.csv").write_bytes(STRAP)

    assert index.find(tmp_path).recordings[0].attribution() == attribution.UNKNOWN


@pytest.mark.parametrize(
    "file_format",
    [known for known in index.FORMATS if known.is_lines],
    ids=lambda f: f"{f.kind} {f.sensor}",
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_text_makes_a_parser_fail(file_format: index.Format, data: st.DataObject) -> None:
    """Any text gives samples and counts without an error, and every row is in one of them."""
    heads = {
        "t1d_uom": ["bg_ts,value", "sleep_ts,step_count,heart_rate"],
        "dexcom": [
            "Timestamp (x)\tEvent Type\tEvent Subtype\tGlucose Value (mg/dL)",
        ],
        "libreview": ["Meter Timestamp,Record Type,Historic Glucose(mg/dL),Scan Glucose(mg/dL)"],
        "polar_h10": ["epoch_s,hr_bpm,rr_ms"],
        "polar_rr": ["[HRData]", "800"],
        "carelink": ["Index,Date,Time,BG Reading (mg/dL),Sensor Glucose (mg/dL)"],
    }
    dates = ["08/10/2023 00:03", "8/1/18 12:00", "2018-11-01T00:02:05"]
    values = ["EGV", "Low", "61", "1.5", "0", "-1", "nan", "9" * 400, '"', "", "\x00", "²", "x"]
    piece = st.sampled_from(dates + values)
    line = st.tuples(st.lists(piece, max_size=5), st.sampled_from([",", "\t"])).map(
        lambda pair: pair[1].join(pair[0]) + "\n"
    )
    lines = [
        data.draw(st.sampled_from(heads[file_format.kind])) + "\n",
        *data.draw(st.lists(line | st.text(max_size=30), max_size=12)),
    ]
    tally = ParseTally()
    try:
        samples = file_format.parse(lines, tally, NO_OPTIONS)
    except FileRefused:
        return

    rows_of_samples = len({s.offset_ms for s in samples})
    assert all((s.value is None) != (s.fault is None) for s in samples)
    assert rows_of_samples <= tally.rows - sum(tally.bad.values()) <= len(samples)


@recorded
def test_published_recordings_are_all_found() -> None:
    """Every recording that the data's README lists is found with its terms."""
    found = index.find(DEFAULT_SOURCE)
    kinds = [recording.kind for recording in found.recordings]

    assert kinds == ["t1d_uom"] * 3 + ["polar_h10", "dexcom", "libreview"] + ["polar_rr"] * 3
    assert {p.reason for p in found.passed_over} == {FileReason.UNKNOWN_FORMAT}
    assert attribution.UNKNOWN not in {r.attribution() for r in found.recordings}


@recorded
@pytest.mark.parametrize(
    ("kind", "place", "rows", "values", "faults", "bad"),
    [
        # Counted with awk and the csv module, and not with these parsers.
        ("t1d_uom", 0, 15834 + 14188, [15834 - 471, 14188 - 33], 471, 33),
        ("t1d_uom", 1, 24193 + 11710, [24193 - 385, 11710], 385, 0),
        ("t1d_uom", 2, 24192 + 28694, [24192 - 599, 28694], 599, 0),
        ("polar_h10", 0, 824, [600 + 798], 0, 0),
        ("dexcom", 0, 1395 + 16, [1395], 16, 0),
        ("libreview", 0, 1337, [1337], 0, 0),
        ("polar_rr", 0, 4117, [4117], 0, 0),
        ("polar_rr", 1, 3581, [3581], 0, 0),
        ("polar_rr", 2, 910, [910], 0, 0),
    ],
)
def test_published_recordings_are_read_whole(
    kind: str, place: int, rows: int, values: list[int], faults: int, bad: int
) -> None:
    """Rows, values, faults and refused rows equal those of an independent count."""
    recordings = [r for r in index.find(DEFAULT_SOURCE).recordings if r.kind == kind]
    tally = ParseTally()
    tracks = recordings[place].load(tally)

    assert tally.rows == rows
    assert [sum(s.value is not None for s in track) for track in tracks] == values
    assert sum(s.fault is not None for track in tracks for s in track) == faults
    assert sum(tally.bad.values()) == bad


@recorded
def test_lengths_are_those_of_an_independent_sum() -> None:
    """The intervals of a .hrm file add up to the length of its recording."""
    lengths = [
        r.load()[0][-1].offset_ms for r in index.find(DEFAULT_SOURCE / "polar_rr").recordings
    ]

    assert lengths == [2_561_791, 2_403_015, 963_434]


def test_member_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    """If a member of an archive is missing when it is read, the declared error is raised."""
    write_archive(tmp_path / "data.tar.xz")

    with pytest.raises(Unreadable):
        list(files.SourceFile(tmp_path / "data.tar.xz", "gone.csv", b"").chunks())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(
            "".join(f"{n}\n" for n in range(4000, 9000, 37)), "format_not_said", id="steps"
        ),
        pytest.param("1114\n1113\n1066\n", "format_not_said", id="perhaps intervals"),
        pytest.param("1,2\n3,4\n", "unknown_format", id="two columns"),
        pytest.param(
            "bg_ts,value\n01/06/2025 00:00,5\n", "unknown_format", id="only like T1D-UOM"
        ),
        pytest.param(
            "timestamp,glucose\n2025-06-01T00:00,120\n", "unknown_format", id="no vendor"
        ),
        pytest.param("[1,2,3]", "unknown_format", id="JSON of numbers"),
        pytest.param("<a/>", "unknown_format", id="XML of another kind"),
    ],
)
def test_what_only_looks_like_a_recording_is_refused(
    tmp_path: Path, content: str, reason: str
) -> None:
    """A form that other files have too is no signature."""
    (tmp_path / "a.txt").write_text(content)
    found = index.find(tmp_path)

    assert found.recordings == []
    assert [p.reason for p in found.passed_over] == [reason]


def test_column_of_intervals_is_read_when_its_format_is_said(tmp_path: Path) -> None:
    """The answer is for that question only: other files keep their own format."""
    (tmp_path / "a.txt").write_text("1114\n1113\n")
    (tmp_path / "b.csv").write_bytes(STRAP)
    found = index.find(tmp_path, ReadOptions(format="polar_rr"))

    assert [r.kind for r in found.recordings] == ["polar_h10", "polar_rr"]
