"""
The ZIP archives that packages are in: encrypted for a person, or plain inside something sealed.

Encrypted entries are AES-256 of WinZip (https://www.winzip.com/en/support/aes-encryption/), which
7-Zip, WinZip, PeaZip and Keka open. The form is AE-2: AE-1 would show a checksum of the plain
text, by which a name could be guessed. The key is derived by 1,000 rounds of PBKDF2 only, as that
format has it, so the passphrase must be long. Anyone sees names and sizes of the files inside.
"""

import datetime as dt
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO, Final

import pyzipper

from formats.errors import Unopened

MIN_PASSPHRASE: Final = 20
"""Least number of characters: 18 random bytes in Base64 are 24."""
FIRST_FILE: Final = "how-to-open-this-vitalveil-export.txt"
_LOCAL_HEADER: Final = b"PK\x03\x04"
_LOCAL_HEADER_BYTES: Final = 30
HEAD_BYTES: Final = _LOCAL_HEADER_BYTES + len(FIRST_FILE)
_COPY_BYTES: Final = 1 << 16
_DAMAGED: Final = (
    pyzipper.BadZipFile, RuntimeError, EOFError, ValueError, NotImplementedError, zlib.error,
)  # fmt: skip
"""Errors of the library for a wrong passphrase, and for a file that is damaged or cut off."""
_HOW_TO: Final = """\
Pour ouvrir cette archive : 7-Zip (Windows, Linux), Keka (macOS) ou WinZip, et la phrase de passe
que vous avez recue par une autre voie. Ouvrez ensuite vos-donnees.html dans un navigateur.

To open this archive: 7-Zip (Windows, Linux), Keka (macOS) or WinZip, and the passphrase that you
were given by another way. Then open your-data.html in a browser.

Um dieses Archiv zu oeffnen: 7-Zip (Windows, Linux), Keka (macOS) oder WinZip, und die Passphrase,
die Sie auf anderem Weg erhalten haben. Oeffnen Sie dann ihre-daten.html in einem Browser.
"""


class Archive:
    """
    A ZIP archive that is being written; each file in pieces, so that it need not fit into memory.

    Args:
        out: A file, opened for writing; it must seek if there is a *passphrase*.

        made_at: The time of every file in it.

        passphrase: Encrypts all files but the first, which says how to open the others; None for
            a plain archive.
    """

    def __init__(self, out: BinaryIO, *, made_at: dt.datetime, passphrase: str | None) -> None:
        self._at = made_at.astimezone(dt.UTC).timetuple()[:6]
        self._zip = pyzipper.AESZipFile(out, "w", compression=zipfile.ZIP_DEFLATED)
        if passphrase is not None:
            self.add(FIRST_FILE, [_HOW_TO.encode()])
            self._zip.setpassword(passphrase.encode())
            self._zip.setencryption(pyzipper.WZ_AES, nbits=256, force_wz_aes_version=2)

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        """Add the file *name*, whose content is *pieces*."""
        entry = self._zip.zipinfo_cls(name, self._at)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(entry, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)

    def finish(self) -> None:
        """Write the directory of the archive, without which it cannot be opened."""
        self._zip.close()


def is_archive(head: bytes) -> bool:
    """
    Tell whether a file that begins with *head* is an encrypted archive from here, or part of one.

    Args:
        head: The first `HEAD_BYTES`, fewer only if the file has no more.
    """
    if len(head) < _LOCAL_HEADER_BYTES:
        return head[:4] == _LOCAL_HEADER[: len(head)]
    name = head[_LOCAL_HEADER_BYTES:HEAD_BYTES].decode(errors="replace")
    return head[:4] == _LOCAL_HEADER and FIRST_FILE.startswith(name)


def decrypt(sealed: BinaryIO, into: BinaryIO, passphrase: str) -> None:
    """
    Write the encrypted files of *sealed* as a plain ZIP *into* another; none is held in memory.

    Raises:
        Unopened: The passphrase is wrong, or the file is damaged, incomplete or no archive.
    """
    try:
        with (
            pyzipper.AESZipFile(sealed) as archive,
            zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as plain,
        ):
            archive.setpassword(passphrase.encode())
            for entry in archive.infolist():
                if entry.filename == FIRST_FILE:
                    continue
                # A file that is not encrypted could be anyone's.
                if not entry.is_encrypted:
                    raise Unopened
                with (
                    archive.open(entry) as source,
                    plain.open(entry.filename, "w", force_zip64=True) as target,
                ):
                    shutil.copyfileobj(source, target, _COPY_BYTES)
    except _DAMAGED:
        raise Unopened from None
