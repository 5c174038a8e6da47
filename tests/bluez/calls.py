"""Calls of the simulated org.bluez, and their answers."""

from typing import Any, Final

import msgspec
from dbus_fast import Message
from dbus_fast.aio import MessageBus

Answer = tuple[str, list[Any], list[int]]
"""A signature, a body, and open file descriptors."""
NOTHING: Final[Answer] = ("", [], [])


class Call(msgspec.Struct, frozen=True):
    """A call of a client."""

    path: str
    sender: str
    body: list[Any]


class BluezError(Exception):
    """The error that answers a call in place of a result."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.text = text


async def follow_names(bus: MessageBus) -> None:
    """Report clients that join and leave *bus*."""
    rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"
    await bus.call(
        Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="AddMatch",
            signature="s",
            body=[rule],
        )
    )
