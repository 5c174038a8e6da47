"""The roster: the enrolled gateways, one line of JSON each, so that a run can use an old fleet."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from runtime.logs import describe
from simulators.fleet.errors import RosterError


class Member(msgspec.Struct, frozen=True):
    """
    A gateway with the one person who is measured there.

    Args:
        agent: The id of the gateway.

        folder: The folder of its bundle: certificate and keys.

        subject: The person's id in trust, for the withdrawal of their consent.

        handle: The first handle of the person there, in hex.
    """

    agent: str
    folder: str
    subject: str
    handle: str


def write(path: Path, members: Iterable[Member]) -> None:
    """Write *members* to *path*, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.Encoder().encode_lines(list(members)))


def read(path: Path) -> Sequence[Member]:
    """
    Return the members in *path*.

    Raises:
        RosterError: The file cannot be read, or is not a roster.
    """
    try:
        return msgspec.json.Decoder(Member).decode_lines(path.read_bytes())
    except OSError as exc:
        raise RosterError(f"The roster cannot be read: {describe(exc)}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RosterError(
            "The roster is not a list of agents. Write one JSON object a line."
        ) from None
