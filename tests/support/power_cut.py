"""
Simulates power cuts: replays a process's system calls on files up to any moment.

strace records the calls. The replay builds the files as they may be on the disk after a power cut:
all data that were synced, and any part of later data, in sectors and in any order.
"""

import random
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

SECTOR: Final = 512
_CALLS: Final = "openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,rename,close,mkdir"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_WRITE = re.compile(r'^(\d+)<([^>]*)>, "((?:\\x[0-9a-f]{2})*)", (\d+)(?:, (\d+))?$')
_FILE = re.compile(r"^(\d+)<([^>]*)>(?:, (\d+))?$")
_OPEN = re.compile(r'^[^,]*, "([^"]*)", ([A-Z_|]+)')
_PATH = re.compile(r'^"([^"]*)"')


class Write(msgspec.Struct, frozen=True):
    """Bytes written at an offset of a file."""

    path: str
    offset: int
    data: bytes


class Truncate(msgspec.Struct, frozen=True):
    """A file truncated or extended to a size."""

    path: str
    size: int


class Sync(msgspec.Struct, frozen=True):
    """All earlier changes of a file become durable."""

    path: str


class Create(msgspec.Struct, frozen=True):
    """A file that is created if it does not exist."""

    path: str


class Remove(msgspec.Struct, frozen=True):
    """A file that is removed for good when its folder is synced."""

    path: str


class Say(msgspec.Struct, frozen=True):
    """Output of the process."""

    data: bytes


Event = Write | Truncate | Sync | Create | Remove | Say


def record(command: Sequence[str], log: Path, environ: dict[str, str]) -> None:
    """Run *command*, and record its system calls on files in *log*."""
    strace = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "1000000",
        "-e",
        f"trace={_CALLS}",
        "-o",
        str(log),
    ]
    subprocess.run([*strace, *command], env=environ, stdout=subprocess.PIPE, check=True)


def read(log: Path, folder: Path) -> list[Event]:
    """Return the events of *log* about files in *folder* and standard output, in order."""
    events: list[Event] = []
    positions: dict[str, int] = {}
    for line in _whole_lines(log):
        match = _LINE.match(line)
        if match is None or int(match[3]) < 0:
            continue
        event = _event(match[1], match[2], int(match[3]), folder, positions)
        if event is not None:
            events.append(event)
    return events


def _whole_lines(log: Path) -> list[str]:
    """Return one line for each system call; parts of an interrupted call are joined."""
    lines: list[str] = []
    begun: dict[str, str] = {}
    for line in log.read_text(encoding="ascii").splitlines():
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>").rstrip()
        elif " resumed>" in line:
            lines.append(begun.pop(thread) + line.split(" resumed>", 1)[1])
        else:
            lines.append(line)
    return lines


def _text(hexed: str) -> str:
    return bytes.fromhex(hexed.replace("\\x", "")).decode() if hexed.startswith("\\x") else hexed


def _event(
    call: str, arguments: str, result: int, folder: Path, positions: dict[str, int]
) -> Event | None:
    event: Event | None = None
    if call in ("write", "pwrite64"):
        event = _write(arguments, result, positions)
    elif call in ("fsync", "fdatasync", "ftruncate"):
        match = _FILE.match(arguments)
        assert match is not None, arguments[:200]
        path = _text(match[2])
        event = Truncate(path, int(match[3])) if call == "ftruncate" else Sync(path)
    elif call == "openat" and "O_CREAT" in arguments:
        match = _OPEN.match(arguments)
        assert match is not None, arguments[:200]
        event = Create(_text(match[1]))
    elif call == "unlink":
        match = _PATH.match(arguments)
        assert match is not None, arguments[:200]
        event = Remove(_text(match[1]))
    is_ours = isinstance(event, Say) or (event and event.path.startswith(str(folder)))
    return event if is_ours else None


def _write(arguments: str, written: int, positions: dict[str, int]) -> Event:
    match = _WRITE.match(arguments)
    assert match is not None, arguments[:200]
    data = bytes.fromhex(match[3].replace("\\x", ""))[:written]
    if match[1] == "1":
        return Say(data)
    path = _text(match[2])
    offset = int(match[5]) if match[5] else positions.get(path, 0)
    positions[path] = offset + written
    return Write(path, offset, data)


class Disk:
    """The possible contents of a disk."""

    def __init__(self) -> None:
        self._durable: dict[str, bytearray] = {}
        self._pending: dict[str, list[Write | Truncate]] = {}
        self._new: set[str] = set()
        """Files created since their folder was synced last: they may be missing."""
        self._removed: set[str] = set()
        """Files removed since their folder was synced last: they may still exist."""
        self.said = b""
        """The output of the process so far."""

    def do(self, event: Event) -> None:
        """Apply *event*."""
        match event:
            case Say(data):
                self.said += data
            case Create(path):
                if path not in self._durable or path in self._removed:
                    self._removed.discard(path)
                    self._durable[path] = bytearray()
                    self._pending.pop(path, None)
                    self._new.add(path)
            case Remove(path):
                self._removed.add(path)
            case Sync(path):
                for gone in [p for p in self._removed if str(Path(p).parent) == path]:
                    self._removed.discard(gone)
                    del self._durable[gone]
                    self._pending.pop(gone, None)
                self._new -= {p for p in self._new if str(Path(p).parent) == path}
                for waiting in self._pending.pop(path, []):
                    _apply(self._durable.setdefault(path, bytearray()), waiting)
            case Write(path) | Truncate(path):
                self._pending.setdefault(path, []).append(event)

    def cut(self, folder: Path, rng: random.Random) -> None:
        """Write into *folder* one possible result of a power cut at this moment."""
        for path, durable in self._durable.items():
            name = Path(path).name
            if name.endswith("-shm") or (path in self._new | self._removed and rng.random() < 0.5):
                continue
            content = bytearray(durable)
            pending = self._pending.get(path, [])
            sectors = [part for waiting in pending for part in _sectors(waiting)]
            kept = [part for part in sectors if rng.random() < 0.5]
            # Of two writes to a sector, the later one may reach the disk first and remain.
            if rng.random() < 0.5:
                rng.shuffle(kept)
            for part in kept:
                _apply(content, part)
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)


def _sectors(waiting: Write | Truncate) -> list[Write | Truncate]:
    if isinstance(waiting, Truncate):
        return [waiting]
    parts: list[Write | Truncate] = []
    at = 0
    while at < len(waiting.data):
        offset = waiting.offset + at
        size = SECTOR - offset % SECTOR
        parts.append(Write(waiting.path, offset, waiting.data[at : at + size]))
        at += size
    return parts


def _apply(content: bytearray, waiting: Write | Truncate) -> None:
    size = waiting.size if isinstance(waiting, Truncate) else waiting.offset
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if isinstance(waiting, Truncate):
        del content[size:]
    else:
        content[size : size + len(waiting.data)] = waiting.data
