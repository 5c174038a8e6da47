"""The inner clocks of meters, remembered from contact to contact, and over restarts."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edge_agent.bluetooth.inner_clock import Contact
from runtime import files
from runtime.logs import Log, describe

NAME: Final = "sensor-clocks"
_MOST: Final = 512
_NEVER: Final = Contact(0, 0, 0)
_log: Final = Log("agent.bluetooth")
_decoder = msgspec.msgpack.Decoder(dict[bytes, Contact])


class ClockMemory(Protocol):
    """Remembers the last contact with each sensor."""

    def recall(self, sensor: str) -> Contact | None:
        """Return the last contact with *sensor*; None if there was none."""
        ...

    def keep(self, sensor: str, contact: Contact) -> None:
        """Remember *contact*. Without a disk that works, until the process ends."""
        ...


class RecentClocks(ClockMemory):
    """A `ClockMemory` that ends with the process."""

    def __init__(self) -> None:
        self._contacts: dict[str, Contact] = {}

    def recall(self, sensor: str) -> Contact | None:
        return self._contacts.get(sensor)

    def keep(self, sensor: str, contact: Contact) -> None:
        self._contacts[sensor] = contact


class FileClocks(ClockMemory):
    """
    A `ClockMemory` in a file that names no sensor.

    Args:
        folder: Where the file is.

        tag: Returns a keyed hash of a label; it stands for a sensor's address.
    """

    def __init__(self, folder: Path, *, tag: Callable[[bytes], bytes]) -> None:
        self._path = folder / NAME
        self._tag = tag
        self._contacts = self._read()
        self._saved = dict(self._contacts)

    def _read(self) -> dict[bytes, Contact]:
        try:
            return _decoder.decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as exc:
            # Nothing is lost but the comparison: the next contact counts as the first.
            _log.warning("sensor_clocks_unreadable", error=describe(exc))
            return {}

    def recall(self, sensor: str) -> Contact | None:
        return self._contacts.get(self._label(sensor))

    def keep(self, sensor: str, contact: Contact) -> None:
        label = self._label(sensor)
        before = self._contacts.pop(label, None)
        self._contacts[label] = contact
        while len(self._contacts) > _MOST:
            del self._contacts[next(iter(self._contacts))]
        if before is None or self._saved.get(label, _NEVER).differs(contact):
            self._save()
            self._saved = dict(self._contacts)

    def _save(self) -> None:
        try:
            files.write(self._path, msgspec.msgpack.encode(self._contacts))
        except OSError as exc:
            _log.error("sensor_clocks_not_saved", error=describe(exc))

    def _label(self, sensor: str) -> bytes:
        return self._tag(b"clock\x00" + sensor.encode())
