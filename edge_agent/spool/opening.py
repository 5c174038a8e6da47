"""Opens a spool: the existing file, a repaired copy if it is damaged, or a new file."""

import sqlite3
from pathlib import Path

import msgspec

from edge_agent.errors import SpoolError
from edge_agent.spool import database_file
from edge_agent.spool import repair as spool_repair
from edge_agent.spool.repair import Repair
from runtime.logs import describe


class Opened(msgspec.Struct):
    """An open spool, and the repair of its file, if there was one."""

    folder: Path
    connection: sqlite3.Connection
    repair: Repair | None = None


def open_file(folder: Path, *, new_spool_id: bytes, key_check: bytes) -> Opened:
    """
    Open the spool in *folder*, or make a new one.

    A damaged file is set aside, not deleted, and a new spool begun with the marks and the
    envelopes that could still be read, so that stored records are not taken a second time.

    Args:
        folder: The agent's private folder; made if missing.

        new_spool_id: A random id, for a new spool.

        key_check: The tag that identifies the lease key (`Tags.check`).

    Raises:
        SpoolKeyChanged: The spool was made with another key.
        SpoolError: The folder cannot be used.
    """
    path = folder / database_file.NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        database_file.settle(path)
        path.touch(mode=0o600)
        connection = database_file.open_sound(path, new_spool_id=new_spool_id, key_check=key_check)
        if connection is not None:
            return Opened(folder, connection)
        repair = spool_repair.repair(path, new_spool_id=new_spool_id, key_check=key_check)
        connection = database_file.connect(path)
    except (OSError, sqlite3.Error) as exc:
        raise SpoolError(f"be opened: {describe(exc)}") from None
    return Opened(folder, connection, repair)
