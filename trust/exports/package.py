"""The package that a person gets: one ZIP with every form of her data, sealed as it is written."""

import datetime as dt
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast
from uuid import UUID

import msgspec

from trust import canonical, files
from trust.decisions import Decision
from trust.errors import KeyFileError, Refused
from trust.exports import cipher, fhir, open_mhealth, table
from trust.exports.cipher import Header, Sealer
from trust.exports.observed import Observed
from trust.subjects import Identity

_README: Final = """\
Ceci est une copie de vos donnees (RGPD, articles 15 et 20).
This is a copy of your data (GDPR, articles 15 and 20).

observations.csv      every observation, for a spreadsheet
data-dictionary.csv   what its columns and quantities mean
fhir-bundle.json      the same in FHIR R4B, with your consents, for other health services
open-mhealth.ndjson   the same in Open mHealth, one data point per line
decisions.json        what you decided, for what, and until when
identity.json         what is kept about who you are
"""


class Contents(msgspec.Struct, frozen=True):
    """What is handed to a person."""

    export: UUID
    subject: UUID
    identity: Identity
    decisions: list[Decision]
    observed: Callable[[], Iterable[Observed]]
    """Called once for each form: it may be more than memory holds."""
    made_at: dt.datetime

    def __repr__(self) -> str:
        return "Contents(…)"


class Written(msgspec.Struct, frozen=True):
    """What came of it."""

    temporary: Path
    sha256: bytes
    observations: int


def discard(path: Path) -> None:
    """
    Delete an export; it may be gone.

    Raises:
        KeyFileError: It cannot be deleted, or is no export.
    """
    files.discard(path, begins_with=cipher.MAGIC)


class _Counted:
    """Counts what passes."""

    def __init__(self, source: Iterable[Observed]) -> None:
        self._source = source
        self.count = 0

    def __iter__(self) -> Iterator[Observed]:
        for one in self._source:
            self.count += 1
            yield one


def write(path: Path, contents: Contents, passphrase: str) -> Written:
    """
    Write the package beside *path*, to be put there once it is on record.

    Raises:
        KeyFileError: There is a file already, or it cannot be written.
    """
    if path.exists():
        raise KeyFileError(path.name, "it is there already", "Choose another file.")
    temporary = files.unfinished(path)
    header = Header(
        str(contents.export),
        contents.made_at.isoformat(timespec="seconds"),
        cipher.new_kdf(),
    )
    try:
        with files.create_unfinished(path) as out:
            sealer = Sealer(out, header, passphrase)
            count = _fill(cast("BinaryIO", sealer), contents)
            sealer.finish()
            out.flush()
            os.fsync(out.fileno())
        with temporary.open("rb") as sealed:
            digest = hashlib.file_digest(sealed, "sha256").digest()
    except OSError as exc:
        raise files.unwritable(path, exc) from None
    return Written(temporary, digest, count)


def _fill(out: BinaryIO, contents: Contents) -> int:
    counted = _Counted(contents.observed())
    made_at = contents.made_at
    parts: dict[str, Iterable[bytes]] = {
        "README.txt": [_README.encode()],
        "identity.json": [_json(contents.identity)],
        "decisions.json": [_list(contents.decisions)],
        "data-dictionary.csv": table.dictionary(),
        "observations.csv": table.lines(counted),
        "open-mhealth.ndjson": open_mhealth.lines(contents.observed(), made_at=made_at),
        "fhir-bundle.json": fhir.bundle(
            contents.subject,
            contents.identity,
            contents.decisions,
            contents.observed(),
            made_at=made_at,
        ),
    }
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pieces in parts.items():
            with archive.open(name, "w", force_zip64=True) as part:
                for piece in pieces:
                    part.write(piece)
    return counted.count


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(canonical.encode(value), indent=2) + b"\n"


def _list(values: Sequence[msgspec.Struct]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n"


def unpack(path: Path, out: Path, passphrase: str) -> int:
    """
    Decrypt the package in *path* into *out*, a ZIP; return its length.

    Raises:
        Unopened: Another passphrase, or a damaged file; *out* is not there.
        KeyFileError: A file cannot be read or written.
    """
    if out.exists():
        raise KeyFileError(out.name, "it is there already", "Choose another file.")
    temporary = files.unfinished(out)
    try:
        with files.create_unfinished(out) as plain, path.open("rb") as sealed:
            for chunk in cipher.unseal(sealed, passphrase):
                plain.write(chunk)
        temporary.replace(out)
        return out.stat().st_size
    except OSError as exc:
        raise KeyFileError(
            path.name, f"it cannot be decrypted there ({type(exc).__name__})", "Check the folder."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_passphrase(path: Path) -> str:
    """
    Return the first line of *path*.

    Raises:
        Refused: It is shorter than a passphrase should be.
        KeyFileError: It cannot be read, or others than its owner may read it.
    """
    text = files.read_secret(path).decode(errors="replace").split("\n", 1)[0].strip()
    if len(text) < cipher.MIN_PASSPHRASE:
        raise Refused(f"a passphrase has at least {cipher.MIN_PASSPHRASE} characters")
    return text
