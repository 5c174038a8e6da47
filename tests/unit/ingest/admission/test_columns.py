"""Columns hold the content of their blocks."""

import struct

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission.columns import unpack
from wire.envelope import Block, pack_block
from wire.quantities import MISSING

int16 = st.integers(-32768, 32767)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """
    A block of any shape: regular or not, narrow or wide, ordered or not, with flags or
    without.
    """
    values = draw(
        st.one_of(
            st.lists(int16, min_size=1, max_size=12),
            st.lists(st.sampled_from([MISSING, 70, 71, 80]), min_size=1, max_size=12),
        )
    )
    flags = draw(st.none() | st.binary(min_size=len(values), max_size=len(values)))
    block = pack_block(
        1, [i for i, _ in enumerate(values)], values, list(flags) if flags else None
    )
    step = draw(
        st.integers(1, 500)
        | st.lists(st.integers(0, 300), min_size=len(values), max_size=len(values)).map(offsets)
    )
    return msgspec.structs.replace(block, start_ms=draw(st.integers(0, 10_000)), step=step)


def offsets(some: list[int]) -> bytes:
    """Return *some*, packed in any order, as a foreign agent may send them."""
    return struct.pack(f"<{len(some)}I", *some)


@given(st.lists(blocks(), max_size=6))
def test_unpack_says_what_each_block_says(some: list[Block]) -> None:
    """Times, values, gaps and flags equal those that the slow methods of `wire` return."""
    columns = unpack(some)
    times = [t for b in some for t in b.times_ms()]
    values = [v for b in some for v in b.unpacked_values()]
    flags = [f for b in some for f in (b.flags or bytes(len(b)))]
    assert columns.counts.tolist() == [len(b) for b in some]
    assert columns.times_ms.tolist() == times
    assert columns.present.tolist() == [v != MISSING for v in values]
    assert columns.flags.tolist() == flags
    got = zip(columns.values.tolist(), values, strict=True)
    assert all(mine == theirs for mine, theirs in got if theirs != MISSING)


@given(st.lists(blocks(), max_size=6))
def test_extremes_are_of_each_block(some: list[Block]) -> None:
    """The minimum and maximum of a block never include values of another block."""
    columns = unpack(some)
    assert columns.least_of(columns.times_ms).tolist() == [min(b.times_ms()) for b in some]
    assert columns.greatest_of(columns.times_ms).tolist() == [max(b.times_ms()) for b in some]
