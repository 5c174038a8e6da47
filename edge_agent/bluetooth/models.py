"""
How models of sensors depart from the specification, as the operator has found out.

A TOML file with a table for each model, by the model number that its Device Information service
tells: never by an address, which would name somebody's sensor in clear.

```toml
["CGM-1"]
warning_first = true
crc = "ccitt_false"
```
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from edge_agent.bluetooth.errors import SensorRefused
from edge_agent.bluetooth.radio.client import Link
from edge_agent.gatt.quirks import NO_QUIRKS, Quirks
from runtime.errors import ConfigError

DEVICE_INFORMATION: Final = 0x180A
MODEL_NUMBER: Final = 0x2A24
Models = Mapping[str, Quirks]
NO_MODELS: Final[Models] = MappingProxyType({})


def read(path: Path) -> Models:
    """
    Return what the file *path* tells of models.

    Raises:
        ConfigError: It is not readable, or no such file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(tables, dict[str, Quirks])
    except (OSError, ValueError, msgspec.ValidationError) as exc:
        raise ConfigError(
            key="sensors.bluetooth.quirks_file",
            source=str(path),
            problem=f"it tells no models ({type(exc).__name__})",
            mend="Write a TOML table for each model, with quirks as keys.",
        ) from None


async def quirks_of(link: Link, models: Models) -> Quirks:
    """
    Return the quirks of the sensor at the other end of *link*.

    Raises:
        BluetoothError: It cannot be asked.
    """
    if not models or not link.has(DEVICE_INFORMATION, MODEL_NUMBER):
        return NO_QUIRKS
    try:
        value = await link.read(DEVICE_INFORMATION, MODEL_NUMBER)
    except SensorRefused:
        return NO_QUIRKS
    # What is no text matches no model.
    name = value.decode(errors="replace").rstrip("\x00").strip()
    return models.get(name, NO_QUIRKS)
