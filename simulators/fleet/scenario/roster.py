"""The roster: who is enrolled, one line of JSON each, so that a run can take up an old fleet."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from simulators.fleet.errors import RosterError


class Member(msgspec.Struct, frozen=True):
    """
    A gateway with the one person who is measured there.

    Args:
        agent: Its id.

        folder: Its bundle: certificate and keys.

        subject: The person, as trust knows her; to withdraw her consent.

        handle: The first handle that she was given there, in hex.
    """

    agent: str
    folder: str
    subject: str
    handle: str


def write(path: Path, members: Iterable[Member]) -> None:
    """Write *members* to *path*, which nobody else may read."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.Encoder().encode_lines(list(members)))


def read(path: Path) -> Sequence[Member]:
    """
    Return the members in *path*.

    Raises:
        RosterError: It cannot be read, or is no roster.
    """
    try:
        return msgspec.json.Decoder(Member).decode_lines(path.read_bytes())
    except OSError as exc:
        raise RosterError(f"the roster cannot be read ({type(exc).__name__})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RosterError("the roster is no list of agents, one JSON object a line") from None
