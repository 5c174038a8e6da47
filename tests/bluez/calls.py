"""What is called of our org.bluez, and what it answers."""

from typing import Any, Final

import msgspec

Answer = tuple[str, list[Any], list[int]]
"""A signature, a body, and open files."""
NOTHING: Final[Answer] = ("", [], [])


class Call(msgspec.Struct, frozen=True):
    """What somebody calls."""

    path: str
    sender: str
    body: list[Any]


class BluezError(Exception):
    """What a call is answered by in place of a result."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.text = text
