"""Options for the evidence of a decision. Files of evidence are read as digests."""

import hashlib
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec

from runtime.causes.files import of_file
from trust.cli.command import File, FileFlag, Moment, Option
from trust.decisions.evidence import Method, Said, Vouching
from trust.errors import Refused, UsageError
from trust.reidentification.reidentification import load_key

_MAX_FILE: Final = 64 << 20

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Locale = Annotated[str, msgspec.Meta(pattern=r"\A[a-z]{2,3}(-[A-Z]{2})?\Z")]


def digest(path: Path) -> str:
    """
    Return the SHA-256 of the file at *path*, in hexadecimal.

    Raises:
        Refused: The path is no file, cannot be read, or the file is too large.
    """
    try:
        if not path.is_file():
            raise Refused(f"the file {path.name} of the evidence is not there, or is no file")
        if path.stat().st_size > _MAX_FILE:
            raise Refused(f"a file of evidence has at most {_MAX_FILE >> 20} MiB")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise Refused(
            f"the file {path.name} of the evidence cannot be read: {of_file(exc)}"
        ) from None


def vouching(officer: UUID | None, key: File | None, *, option: str) -> Vouching | None:
    """
    Return the vouching officer with their key; None if no officer was named.

    Raises:
        UsageError: Only the officer or only the key was given; *option* is the officer's flag.
        KeyFileError: The file holds no private key.
    """
    if officer is None and key is None:
        return None
    if officer is None or key is None:
        raise UsageError(f"give both --{option} OFFICER and --{option}-key FILE")
    return Vouching(officer, load_key(key.content, name=key.name))


def said(
    captured_by: Method | None,
    text_sha256: str | None,
    locale: str | None,
    given_at: Moment | None,
    scan_sha256: str | None,
) -> Said:
    """Return the evidence of how a decision was given, from the options."""
    return Said(
        method=captured_by,
        text_sha256=text_sha256,
        locale=locale,
        given_at=None if given_at is None else (given_at.at or "now"),
        scan_sha256=scan_sha256,
    )


# The evidence of the person, or of the representative who decides for them.

CapturedBy: TypeAlias = Annotated[
    Method | None, Option(help="how the person, or who decides for them, expressed the decision")
]
TextShown: TypeAlias = Annotated[
    Sha256 | None,
    Option(
        help="the SHA-256 of that text instead of its file", metavar="HEX",
        or_file=FileFlag(flag="text", help="the text that was shown", reads=digest),
    ),
]  # fmt: skip
LocaleShown: TypeAlias = Annotated[
    Locale | None, Option(help="the language of that text", metavar="fr-FR")
]
GivenAt: TypeAlias = Annotated[
    Moment | None, Option(help="when the decision was given", metavar="TIME|now")
]
Scan: TypeAlias = Annotated[
    Sha256 | None,
    Option(help="the scan of the signed paper", metavar="FILE", flag="scan", reads=digest),
]

# The evidence of a guardian who decides together with the person (--given-by joint).

GuardianCapturedBy: TypeAlias = Annotated[
    Method | None, Option(help="with --given-by joint: how the guardian expressed the decision")
]
GuardianTextShown: TypeAlias = Annotated[
    Sha256 | None,
    Option(
        help="the SHA-256 of that text instead of its file", metavar="HEX",
        or_file=FileFlag(
            flag="representative-text", help="the text that the guardian was shown", reads=digest
        ),
    ),
]  # fmt: skip
GuardianLocaleShown: TypeAlias = Annotated[
    Locale | None, Option(help="the language of the guardian's text", metavar="fr-FR")
]
GuardianGivenAt: TypeAlias = Annotated[
    Moment | None, Option(help="when the guardian decided", metavar="TIME|now")
]
GuardianScan: TypeAlias = Annotated[
    Sha256 | None,
    Option(
        help="the scan of the paper that the guardian signed", metavar="FILE",
        flag="representative-scan", reads=digest,
    ),
]  # fmt: skip
