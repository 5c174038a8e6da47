"""Tracks of invented people."""

import itertools

import pytest

from simulators.fleet.gateway.tracks import ValueTrack, tracks_of
from wire.envelope import Block, Body, check_body
from wire.quantities import MISSING, Code

_VALUES = [60, 61, MISSING, 63, 64]


@pytest.fixture
def track() -> ValueTrack:
    """Five values, one second each."""
    return ValueTrack(Code.HEART_RATE, 1000, _VALUES)


def test_block_holds_what_its_span_holds(track: ValueTrack) -> None:
    """
    A block holds the values from the first instant of its span up to, but not including,
    the end.
    """
    found = track.block(1500, 4001, place=0)
    assert found is not None
    block, present = found
    assert block == Block(Code.HEART_RATE, 2000, 1000, block.values)
    assert block.unpacked_values() == [MISSING, 63, 64]
    assert present == 2


def test_neighbouring_spans_share_nothing_and_miss_nothing(track: ValueTrack) -> None:
    """Adjacent spans cover each instant exactly once."""
    cuts = [0, 900, 1000, 2500, 4000, 4000, 7001]
    times: list[int] = []
    for begin, end in itertools.pairwise(cuts):
        found = track.block(begin, end, place=3)
        times += found[0].times_ms() if found else []
    assert times == list(range(0, 8000, 1000))


def test_an_empty_span_is_no_block(track: ValueTrack) -> None:
    """A span without an instant gives no block."""
    assert track.block(1001, 1999, place=0) is None


def test_a_track_repeats_from_its_place(track: ValueTrack) -> None:
    """Gateways on one track start at different positions, and the track repeats."""
    found = track.block(7000, 9000, place=1)
    assert found is not None
    assert found[0].unpacked_values() == [63, 64]


def test_a_block_is_never_longer_than_its_track(track: ValueTrack) -> None:
    """A span longer than the track gives the whole track, which ingest accepts."""
    found = track.block(0, 10_000_000, place=4)
    assert found is not None
    assert len(found[0]) == len(_VALUES)
    check_body(Body(bytes(16), 1, [found[0]]))


def test_tracks_are_of_the_seed() -> None:
    """The same seed gives the same people, with plausible values."""
    steps = {"heart_rate": 5000, "glucose_interstitial": 300_000}
    one, other = tracks_of(1, steps), tracks_of(1, steps)
    for mine, theirs in zip(one, other, strict=True):
        for a, b, (low, high) in zip(mine, theirs, [(35, 200), (220, 2220)], strict=True):
            block, again = a.block(0, 10**9, place=0), b.block(0, 10**9, place=0)
            assert block == again
            assert block is not None
            present = [v for v in block[0].unpacked_values() if v != MISSING]
            assert len(present) > 500
            assert all(low <= value <= high for value in present)
