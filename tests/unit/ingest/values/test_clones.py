"""Two alternating spools of one agent are distinguished from an agent that began another spool."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.values.clones import WITHIN_S, Clones, CloneSign
from ingest.values.delivery import Spool

AGENT = "00000000000000a1"


class Watched:
    """A clone detector, and the signs that it has reported."""

    def __init__(self, *, is_json: bool = False, max_agents: int = 100) -> None:
        self.signs: list[CloneSign] = []
        self.clones = Clones(
            on_sign=self.signs.append, may_alternate=lambda _: is_json, max_agents=max_agents
        )

    def see(self, spools: str, *, every_s: float = 1.0) -> int:
        """
        Run a flush for each letter, which names the advancing spool; return the number
        of signs.
        """
        for number, letter in enumerate(spools):
            self.clones.advanced([_spool(letter)], at=1 + number * every_s)
        return len(self.signs)


def _spool(letter: str, agent: str = AGENT) -> Spool:
    return agent, letter.encode() * 16


@pytest.mark.parametrize(
    ("spools", "signs"),
    [
        pytest.param("AAAA", 0, id="one spool"),
        pytest.param("AABB", 0, id="another spool"),
        pytest.param("ABCDEFGHIJKLMN", 0, id="one after another, whatever befalls the card"),
        pytest.param("AABBA", 0, id="a card that was put back"),
        pytest.param("ABAB", 1, id="three alternations"),
        pytest.param("AAABBBAAABBB", 1, id="three, with many envelopes each time"),
        pytest.param("ABABABABAB", 4, id="it goes on"),
        pytest.param("ABCAB", 1, id="a third spool makes it no better"),
        pytest.param("ABCBC", 1, id="two holders after an honest one"),
    ],
)
def test_what_is_a_sign(spools: str, signs: int) -> None:
    """A spool that advances twice after another one is a sign; an honest agent gives none."""
    assert Watched().see(spools) == signs


def test_it_must_be_within_an_hour() -> None:
    """The alternation must be within an hour, so that exchanging cards by hand is no sign."""
    assert Watched().see("ABAB", every_s=WITHIN_S) == 1
    assert Watched().see("ABAB", every_s=WITHIN_S + 1) == 0
    assert Watched().see("ABABAB", every_s=WITHIN_S + 1) == 0


def test_a_device_that_sends_json_is_not_suspected() -> None:
    """A device that sends JSON is never suspected, because it chooses its sequences."""
    assert Watched(is_json=True).see("ABABABAB") == 0


def test_agents_are_apart() -> None:
    """Many agents with one spool each give no sign, and a cloned one among them does."""
    watched = Watched()
    many = [_spool("A", f"{n:016x}") for n in range(20)]
    for at in range(1, 9):
        watched.clones.advanced(many, at=at)
    assert watched.signs == []
    for at, letter in enumerate("ABAB", 20):
        watched.clones.advanced([*many, _spool(letter)], at=at)
    assert watched.signs == [CloneSign.SPOOLS_IN_TURNS]


def test_memory_is_bounded_and_keeps_the_latest() -> None:
    """The number of remembered agents is limited, and the most recent are kept."""
    watched = Watched(max_agents=10)
    at = itertools.count(1)
    for letter in "ABAB":
        for n in range(1000, 1004):
            watched.clones.advanced([_spool("A", f"{next(at) + n:016x}")], at=next(at))
        watched.clones.advanced([_spool(letter)], at=next(at))
    assert watched.signs == [CloneSign.SPOOLS_IN_TURNS]
    for n in range(20_000):
        for letter in "AB":
            watched.clones.advanced([_spool(letter, f"{n:016x}")], at=next(at))
    held = vars(watched.clones)
    assert len(held["_newest"]) + len(held["_older"]) <= 10
    assert len(held["_turned"]) <= 4096


flushes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=12)
"""Successive spools: how many flushes each has, and how many it shares with the next."""


@given(flushes, st.integers(1, 6), st.randoms(use_true_random=False), st.integers(0, 40))
def test_an_honest_agent_is_never_suspected(
    spools: list[tuple[int, int]], overlap: int, chance: random.Random, restart: int
) -> None:
    """
    An honest agent is never suspected, in any order of commits and with restarts of ingest.

    Successive spools may share a flush, and flushes may commit out of order.
    """
    stream = [n for n, (count, _) in enumerate(spools) for _ in range(count)]
    begun: list[tuple[float, set[Spool]]] = []
    places = iter(stream)
    while some := list(itertools.islice(places, chance.randint(1, 4))):
        begun.append((float(len(begun) + 1), {(AGENT, bytes([n]) * 16) for n in some}))
    # The most flushes that are under way at a time.
    committed, under_way = [], []
    for one in begun:
        under_way.append(one)
        if len(under_way) > overlap:
            committed.append(under_way.pop(chance.randrange(len(under_way))))
    chance.shuffle(under_way)
    committed += under_way

    watched = Watched()
    for number, (at, advanced) in enumerate(committed):
        if number == restart:
            watched = Watched()
        watched.clones.advanced(chance.sample(sorted(advanced), len(advanced)), at=at)
        assert watched.signs == []


@given(st.lists(st.integers(1, 5), min_size=4, max_size=12))
def test_two_holders_are_always_noticed(turns: list[int]) -> None:
    """Two holders are always noticed if both are connected within the hour."""
    stream = "".join("AB"[n % 2] * count for n, count in enumerate(turns))
    assert Watched().see(stream) == (len(turns) - 2) // 2
