"""Checks that the file of the erasure ledger has all erasures that the vault knows."""

from pathlib import Path
from typing import Final

import psycopg

from trust.errors import KeyFileError
from trust.vault.erasure_file import LedgerFile
from vitalveil.doctor.finding import Finding, note, sound, wrong

_MARKED: Final = "SELECT count(*) FROM vault.erasure_steps WHERE step = 'mark'"
_CODE: Final = "erasure-ledger-file"
_PAGE: Final = "See docs/runbooks/VitalVeilErasureLedgerFile.md."


def look(connection: psycopg.Connection, path: Path | None) -> Finding:
    """Compare the file *path* with the vault of *connection*."""
    if path is None:
        remedy = (
            "Set erasure.ledger_file: after a restore of the vault, erasures are repeated from it."
        )
        return note(_CODE, "the erasure ledger has no copy outside the vault", remedy)
    row = connection.execute(_MARKED).fetchone()
    marked = 0 if row is None else int(row[0])
    file = LedgerFile(path)
    try:
        lines = {(e.erasure.subject, e.erasure.requested_at) for e in file.entries()}
        once = file.count()
    except KeyFileError:
        return wrong(_CODE, "the file of the erasure ledger cannot be read", _PAGE)
    if marked and not file.exists():
        return wrong(_CODE, "the file of the erasure ledger is missing", _PAGE)
    lacking = max(marked, once) - len(lines)
    if lacking > 0:
        return wrong(_CODE, f"the file of the erasure ledger lacks {lacking} erasures", _PAGE)
    return sound(_CODE, f"the file of the erasure ledger has all {len(lines)} erasures")
