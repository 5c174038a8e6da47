"""Gateways that declare that they read padded leases, from untrusted states."""

import pytest

from trust.reconcile import padding as limits
from trust.reconcile.padding import Padding
from wire import state, topics
from wire.state import State

AGENT = "0123456789abcdef"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def said(*reads: str) -> bytes:
    """Return a state with that declaration."""
    return state.encode(State(True, "test", reads=list(reads)))


def test_who_says_so_is_told_once() -> None:
    """A declaration is reported once; other forms, versions and invalid states are not."""
    clock = Clock()
    padding = Padding(monotonic_s=clock)
    silent = state.encode(State(True, "0.1.0"))
    payloads = [silent, said("receipt-2"), b"nonsense", b"", b" " * 9000, said("lease-2")]
    for number, payload in enumerate(payloads):
        padding.heard(topics.state(f"{number:016x}"), payload)
    padding.heard("vv1/state/../0", said("lease-2"))
    padding.heard(topics.state(f"{5:016x}"), said("lease-2"))
    assert padding.take(100) == [f"{5:016x}"]
    assert padding.take(100) == []


def test_who_says_so_later_is_heard_then() -> None:
    """A later declaration of an upgraded gateway is noticed."""
    clock = Clock()
    padding = Padding(monotonic_s=clock)
    padding.heard(topics.state(AGENT), said())
    padding.heard(topics.state(AGENT), said("lease-2"))
    assert padding.take(1) == []
    clock.now += 5
    padding.heard(topics.state(AGENT), said("lease-2"))
    assert padding.take(1) == [AGENT]


def test_what_an_operator_took_back_is_told_again() -> None:
    """An hour after an operator switched padding off, the declaration is reported again."""
    clock = Clock()
    padding = Padding(monotonic_s=clock)
    for passed_s, expected in ((0, [AGENT]), (600, []), (3600, [AGENT])):
        clock.now += passed_s
        padding.heard(topics.state(AGENT), said("lease-2"))
        assert padding.take(1) == expected


def test_a_gateway_that_floods_keeps_nobody_from_being_heard() -> None:
    """A gateway that floods has its states skipped, and takes no capacity of others."""
    padding = Padding(monotonic_s=Clock())
    for _ in range(5000):
        padding.heard(topics.state(AGENT), said())
    padding.heard(topics.state("f" * 16), said("lease-2"))
    assert padding.take(10) == ["f" * 16]


def test_a_broker_that_invents_gateways_costs_a_bounded_time_and_memory() -> None:
    """
    Invented gateways cost limited time and memory: states per second and waiting gateways are
    limited.
    """
    clock = Clock()
    padding = Padding(monotonic_s=clock)
    for number in range(40_000):
        clock.now += 0.001
        padding.heard(topics.state(f"{number:016x}"), said("lease-2"))
    assert len(padding.take(100_000)) == 10_000
    clock.now += 1
    for number in range(40_000, 42_000):
        padding.heard(topics.state(f"{number:016x}"), said("lease-2"))
    assert len(padding.take(100_000)) == 500


def test_the_names_of_gateways_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While as many names are remembered as may be, no further state is read; later, all are."""
    monkeypatch.setattr(limits, "_MOST", 3)
    clock = Clock()
    padding = Padding(monotonic_s=clock)

    def hear(*agents: int) -> list[str]:
        for number in agents:
            padding.heard(topics.state(f"{number:016x}"), said("lease-2"))
        return padding.take(100)

    assert hear(1, 2) == [f"{1:016x}", f"{2:016x}"]
    # Names that are forgotten after seconds are counted apart from those that were told.
    clock.now += 5
    assert hear(3, 4) == [f"{3:016x}"]
    clock.now += 5
    assert hear(4, 5) == []
    clock.now += 3600
    assert hear(4, 5) == [f"{4:016x}", f"{5:016x}"]


def test_gateways_that_do_not_read_padding_are_bounded_for_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flood of states that say nothing fills the names of these seconds, and of no others."""
    monkeypatch.setattr(limits, "_MOST", 3)
    clock = Clock()
    padding = Padding(monotonic_s=clock)
    for number in range(1, 9):
        padding.heard(topics.state(f"{number:016x}"), said())
    padding.heard(topics.state(AGENT), said("lease-2"))
    assert padding.take(1) == []
    clock.now += 5
    padding.heard(topics.state(AGENT), said("lease-2"))
    assert padding.take(1) == [AGENT]
