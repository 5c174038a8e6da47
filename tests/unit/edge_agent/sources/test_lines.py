"""Splitting a stream of bytes into lines."""

import hypothesis.strategies as st
from hypothesis import given

from edge_agent.sources.lines import MAX_LINE_BYTES, LineSplitter


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b""))), st.data())
def test_any_cut_gives_the_same_lines(lines: list[bytes], data: st.DataObject) -> None:
    """However the stream is cut into pieces, the lines are the same."""
    stream = b"".join(line + b"\n" for line in lines)
    splitter, out = LineSplitter(), list[bytes]()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        out += splitter.feed(stream[:size])
        stream = stream[size:]
    assert out == lines
    assert splitter.skipped == 0


@given(st.integers(1, 7), st.integers(MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES))
def test_long_line_is_skipped_once(pieces: int, size: int) -> None:
    """A line that is too long is counted once and not stored, and the next one is complete."""
    stream = b"a\n" + b"x" * size + b"\nb\n"
    step = len(stream) // pieces + 1
    splitter, out = LineSplitter(), list[bytes]()
    for start in range(0, len(stream), step):
        out += splitter.feed(stream[start : start + step])
    assert out == [b"a", b"b"]
    assert splitter.skipped == 1


def test_longest_line_is_a_line() -> None:
    """A line of exactly the greatest length is accepted."""
    assert LineSplitter().feed(b"x" * MAX_LINE_BYTES + b"\n") == [b"x" * MAX_LINE_BYTES]
