"""Ingest's check of the policy equals that of `wire`."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.admission.columns import unpack
from ingest.admission.conform import conforms
from tests.unit.ingest.admission.test_columns import blocks, offsets
from wire.envelope import Block, pack_block
from wire.policy import Rule


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule so small that a block may violate it."""
    time_step = draw(st.sampled_from([1, 2, 5, 10]))
    return Rule(
        1,
        draw(st.sampled_from([1, 2, 10])),
        time_step * draw(st.integers(1, 20)),
        time_step,
    )


@given(st.lists(st.tuples(blocks(), rules()), max_size=8))
@example([(Block(1, 0, offsets([0, 50, 10]), bytes(3), 70), Rule(1, 1, 20))])
@example([(pack_block(1, [0, 20, 40], [70, 70, 70]), Rule(1, 10, 20, 20))] * 2)
def test_conforms_as_the_rule_says(pairs: list[tuple[Block, Rule]]) -> None:
    """For any blocks, ordered or not, both checks of a rule give the same result."""
    columns = unpack([block for block, _ in pairs])

    def of_each(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([getattr(rule, name) for _, rule in pairs], dtype=np.int64)

    got = conforms(
        columns,
        step=of_each("step"),
        interval_ms=of_each("interval_ms"),
        time_step_ms=of_each("time_step_ms"),
    )
    assert got.tolist() == [
        rule.conforms(block.times_ms(), block.unpacked_values()) for block, rule in pairs
    ]
