"""What only the start needed is given back, and nothing that cannot be had again."""

import hashlib
import json
import sqlite3
from pathlib import Path

from edge_agent.memory import code_ranges, give_back

_MAPS = """\
55d0c8a00000-55d0c8a01000 r--p 00000000 fe:00 1234                       /usr/bin/python3
55d0c8a01000-55d0c8a02000 r-xp 00001000 fe:00 1234                       /usr/bin/python3
7f3a00000000-7f3a00021000 rw-p 00000000 00:00 0
7f3a10000000-7f3a10200000 r-xp 00002000 fe:00 99                         /opt/a b/lib.so (deleted)
7f3a20000000-7f3a20001000 rwxp 00000000 fe:00 77                         /usr/lib/odd.so
7ffc11111000-7ffc11113000 r-xp 00000000 00:00 0                          [vdso]
7ffc22222000-7ffc22223000 r-xp 00000000 00:00 0
"""


def test_code_ranges() -> None:
    """Code that nobody can have written to, mapped from a file: not data, not what has none."""
    assert list(code_ranges(_MAPS)) == [
        (0x55D0C8A01000, 0x55D0C8A02000),
        (0x7F3A10000000, 0x7F3A10200000),
    ]


def _file_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile:"))


def test_give_back() -> None:
    """Less is resident afterwards, and all that was loaded goes on working."""
    before = _file_kb()
    give_back()
    assert _file_kb() < before
    assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf")
    assert json.loads("[1]") == [1]
    with sqlite3.connect(":memory:") as db:
        assert db.execute("SELECT 6 * 7").fetchone() == (42,)
