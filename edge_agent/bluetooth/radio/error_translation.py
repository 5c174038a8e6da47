"""Translates errors of bleak and D-Bus into those of `edge_agent.bluetooth.errors`."""

from typing import Final

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
    BleakGATTProtocolError,
)
from dbus_fast.errors import DBusFastError

from edge_agent.bluetooth.errors import (
    BluetoothError,
    CallTimedOut,
    LinkError,
    NotAuthorised,
    PoweredOff,
    SensorRefused,
    StackError,
)

# bleak raises its own errors, those of D-Bus, and assertion and lookup errors if the bus closes
# during a call.
FAILURES: Final = (
    *(BleakError, DBusFastError, OSError, EOFError),
    *(AssertionError, AttributeError, KeyError),
)

_STACK_ERRORS: Final = frozenset(
    {
        "org.bluez.Error.NotReady",
        "org.freedesktop.DBus.Error.AccessDenied",
        "org.freedesktop.DBus.Error.Disconnected",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.ServiceUnknown",
    }
)
_PAIRING_ERRORS: Final = ("org.bluez.Error.Authentication", "org.bluez.Error.NotAuthorized")
_NOT_PAIRED: Final = "org.bluez.Error.NotPermitted"
# ATT: insufficient authentication, authorisation, key size, encryption.
_PAIRING_CODES: Final = frozenset({0x05, 0x08, 0x0C, 0x0F})
# A bonded connection is encrypted first. If the sensor disappears meanwhile, BlueZ 5.66 returns
# the first name; BlueZ from 5.83 on may return the second.
_BOND_ERRORS: Final = ("-connection-canceled", "-connection-key-missing")


def translate(error: BaseException, call: str) -> BluetoothError:
    """Return the error of this package for *error*, which bleak raised during *call*."""
    if isinstance(error, BluetoothError):
        return error
    if isinstance(error, TimeoutError):
        return CallTimedOut(call)
    if isinstance(error, BleakGATTProtocolError):
        code = int(error.code)
        return NotAuthorised(call) if code in _PAIRING_CODES else SensorRefused(call, code=code)
    if isinstance(error, BleakBluetoothNotAvailableError):
        is_off = error.reason is BleakBluetoothNotAvailableReason.POWERED_OFF
        return PoweredOff(call) if is_off else StackError(call)
    if isinstance(error, BleakDBusError):
        return _translate_dbus(error.dbus_error, call)
    # Any other error came from D-Bus: it is closed, or its answer cannot be read.
    is_link = isinstance(error, BleakError)
    return LinkError(f"{call} failed") if is_link else StackError(f"{call} failed")


def _translate_dbus(name: str, call: str) -> BluetoothError:
    if name.startswith(_PAIRING_ERRORS) or name == _NOT_PAIRED:
        return NotAuthorised(call)
    return StackError(call) if name in _STACK_ERRORS else LinkError(f"{call} failed")


def says_bond(error: BaseException) -> bool:
    """Tell whether *error* of BlueZ means that encrypting the connection failed."""
    details = error.dbus_error_details if isinstance(error, BleakDBusError) else None
    return details is not None and details.endswith(_BOND_ERRORS)
