"""The counters of a gateway in its state."""

import msgspec
import pytest

from edge_agent.bluetooth.radio.metrics import Ending
from wire import state, totals
from wire.errors import Malformed
from wire.refusals import Refusal
from wire.state import State
from wire.totals import FAMILIES, MAX_ENTRIES


def _family(name: str) -> totals.Family:
    return next(family for family in FAMILIES if family.name == name)


def test_every_reason_of_the_agent_has_a_name() -> None:
    """Every refusal of the agent has a name in the totals."""
    assert set(_family("refused_measurements").values) >= {reason.value for reason in Refusal}
    known = set(_family("sensor_attempts").values) | {totals.OTHER}
    assert known >= {ending.value for ending in Ending}


def test_all_totals_fit_into_a_state() -> None:
    """A state with every counter fits into the size limit."""
    everything = {key: (1 << 62) for family in FAMILIES for key in family.names()}
    assert len(everything) <= MAX_ENTRIES
    told = State(online=True, software="1", totals=everything)
    assert state.decode(state.encode(told)).totals == everything


def test_a_state_without_totals_says_so() -> None:
    """A state without totals, such as a will, differs from one with empty totals."""
    assert state.decode(b'{"online":false,"software":"9"}').totals is msgspec.UNSET
    assert b"totals" not in state.encode(State(online=False, software="9"))


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param({"measurements.kept": -1}, id="below zero"),
        pytest.param({"x" * 65: 1}, id="a name too long"),
        pytest.param({str(n): n for n in range(MAX_ENTRIES + 1)}, id="too many"),
    ],
)
def test_numbers_that_are_none_are_malformed(numbers: dict[str, int]) -> None:
    """A total that is negative, too large or no number is malformed."""
    for told in (
        State(online=True, software="1", totals=numbers),
        State(online=True, software="1", levels=numbers),
    ):
        with pytest.raises(Malformed):
            state.decode(state.encode(told))
