"""
How models of sensors depart from the specification, as the operator found out.

A TOML file has a table for each model, named by the model number in its Device Information
service. It never uses an address, which would name a person's sensor in plain text.

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
from runtime.errors import ConfigError, unusable

DEVICE_INFORMATION: Final = 0x180A
MODEL_NUMBER: Final = 0x2A24
Models = Mapping[str, Quirks]
NO_MODELS: Final[Models] = MappingProxyType({})


def read(path: Path) -> Models:
    """
    Return the quirks of each model number in the file *path*.

    Raises:
        ConfigError: The file cannot be read, or holds unknown keys.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(tables, dict[str, Quirks])
    except OSError as exc:
        raise unusable(path, exc, key="sensors.bluetooth.quirks_file") from None
    except (ValueError, msgspec.ValidationError):
        raise ConfigError(
            key="sensors.bluetooth.quirks_file",
            source=str(path),
            problem="the file does not describe models of sensors",
            remedy="Write a TOML table for each model, with quirks as keys.",
        ) from None


async def quirks_of(link: Link, models: Models) -> Quirks:
    """
    Ask the sensor at the other end of *link* for its model, and return the quirks of that model.

    Raises:
        BluetoothError: The sensor cannot be asked.
    """
    if not models or not link.has(DEVICE_INFORMATION, MODEL_NUMBER):
        return NO_QUIRKS
    try:
        value = await link.read(DEVICE_INFORMATION, MODEL_NUMBER)
    except SensorRefused:
        return NO_QUIRKS
    # A name that is not UTF-8 matches no model.
    name = value.decode(errors="replace").rstrip("\x00").strip()
    return models.get(name, NO_QUIRKS)
