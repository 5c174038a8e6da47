"""The payloads of a gateway that sends what no honest one does. No I/O."""

import random

from simulators.fleet.gateway.author import Author
from simulators.fleet.scenario import malicious
from simulators.fleet.scenario.plan import Act
from wire.envelope import Body, encode_envelope


def is_nameless(act: Act, *, settled: int) -> bool:
    """Tell whether no receipt covers what *act* sends; up to *settled*, receipts have come."""
    return act in malicious.NAMELESS or (act is Act.FORGED and settled > 0)


def nameless(
    act: Act,
    body: Body,
    author: Author,
    *,
    settled: int,
    foreign_handle: bytes,
    draw: random.Random,
) -> bytes:
    """
    Return what *act* sends: an envelope for which no receipt will come.

    Args:
        act: One of `malicious.NAMELESS`, or a forgery.

        body: What an honest gateway would send.

        author: Seals it under the sequence of the next honest envelope, which stays unaffected.

        settled: The highest sequence that is settled, which a forgery repeats.

        foreign_handle: A handle of another gateway.

        draw: Chooses what is random.
    """
    ahead = author.sequence + 1
    match act:
        case Act.GARBAGE:
            return malicious.garbage(draw=draw)
        case Act.FROM_A_LATER_VERSION | Act.FOREIGN_TOPIC:
            return malicious.from_a_later_version()
        case Act.CORRUPT:
            return malicious.corrupted(author.forge(body, sequence=ahead), draw=draw)
        case Act.FOREIGN_HANDLE:
            body = malicious.body_of(act, body, foreign_handle=foreign_handle)
            return encode_envelope(author.forge(body, sequence=ahead))
        case _:
            return encode_envelope(author.forge(body, sequence=settled))
