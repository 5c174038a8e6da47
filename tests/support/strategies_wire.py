"""Hypothesis strategies for messages of the wire format."""

from hypothesis import strategies as st

from wire.envelope import MAX_SEQUENCE, MAX_TIME_MS, Block, Body, Envelope, pack_block
from wire.policy import Aggregate, Rule
from wire.quantities import MISSING, all_quantities

agents = st.text("0123456789abcdef", min_size=16, max_size=16)
spool_ids = st.binary(min_size=16, max_size=16)
handles = st.binary(min_size=16, max_size=16)
sequences = st.integers(1, MAX_SEQUENCE - 1)
starts = st.integers(0, MAX_TIME_MS - (1 << 40))
codes = st.sampled_from([int(q.code) for q in all_quantities()])
values = st.one_of(
    st.just(MISSING),
    st.integers(-0x7FFF, 0x7FFF),
    # Close to each other, as in practice, so that narrow blocks occur.
    st.integers(60, 90),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, list[int], list[int], list[int] | None]:
    """Draw arguments for `pack_block`: a quantity, times, values and flags."""
    count = draw(st.integers(1, 12))
    start = draw(starts)
    if draw(st.booleans()):
        step = draw(st.integers(1, 600_000))
        times = [start + i * step for i in range(count)]
    else:
        gaps = draw(st.lists(st.integers(0, 600_000), min_size=count - 1, max_size=count - 1))
        times = [start + sum(gaps[:i]) for i in range(count)]
    same = draw(st.sampled_from([values, st.integers(60, 90) | st.just(MISSING)]))
    drawn = draw(st.lists(same, min_size=count, max_size=count))
    flags = draw(st.none() | st.lists(st.integers(0, 255), min_size=count, max_size=count))
    return draw(codes), times, drawn, flags


blocks: st.SearchStrategy[Block] = runs().map(lambda run: pack_block(*run))
bodies: st.SearchStrategy[Body] = st.builds(
    Body, handles, st.integers(0, (1 << 32) - 1), st.lists(blocks, min_size=1, max_size=4)
)
envelopes: st.SearchStrategy[Envelope] = st.builds(
    Envelope,
    st.just(1),
    st.just(1),
    spool_ids,
    sequences,
    st.binary(min_size=80, max_size=80),
    st.binary(min_size=17, max_size=300),
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Draw a rule whose time step divides its interval."""
    time_step = draw(st.sampled_from([1, 10, 1000, 60_000]))
    return Rule(
        draw(codes),
        draw(st.integers(1, 500)),
        time_step * draw(st.integers(1, 50)),
        time_step,
        draw(st.sampled_from(Aggregate)),
    )
