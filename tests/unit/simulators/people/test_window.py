"""The beginning of a replay in a recording, and its continuation."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from recordings.sample import Sample, SampleFault
from simulators.people import window

HOUR_MS = 3_600_000
STEP_MS = 300_000


def track(*hours: tuple[float, float], quantity: str = "heart_rate") -> list[Sample]:
    """Return samples each five minutes in some ranges of hours."""
    return [
        Sample(at, quantity, 60.0)
        for begin, end in hours
        for at in range(round(begin * HOUR_MS), round(end * HOUR_MS), STEP_MS)
    ]


def test_usual_step_is_the_median() -> None:
    """The usual step is the median, so that a gap of a night does not matter."""
    assert window.typical_step_ms(track((0, 5), (13, 20))) == STEP_MS


def test_usual_step_is_that_of_the_commonest_quantity() -> None:
    """
    The usual step is that of the commonest quantity, because two quantities may have the same
    time.
    """
    samples = [Sample(t, q, 1.0) for t in range(0, 9000, 1000) for q in ("a", "b")]

    assert window.typical_step_ms(samples) == 1000
    assert window.typical_step_ms(samples[:1]) == 1000


@given(st.integers())
def test_beginning_is_where_all_sensors_measure(seed: int) -> None:
    """The replay begins where all sensors measure for hours."""
    heart_rates = track((0, 200))
    glucose = track((50, 60), (120, 150), quantity="glucose_interstitial")
    origin_h = window.origin_ms([heart_rates, glucose], seed=str(seed)) / HOUR_MS

    assert 49 <= origin_h <= 55 or 119 <= origin_h <= 145


def test_beginning_is_chosen_by_the_seed_alone() -> None:
    """The beginning depends on the seed alone."""
    tracks = [track((0, 200)), track((0, 200), quantity="glucose_interstitial")]
    origins = [window.origin_ms(tracks, seed=seed) for seed in ("1", "1", "2", "3", "4")]

    assert origins[0] == origins[1]
    assert len(set(origins)) > 1


def test_faults_are_no_data() -> None:
    """Faults do not count as data for the choice of the beginning."""
    silent = track((0, 100), quantity="glucose_interstitial")
    off = [Sample(s.offset_ms, s.quantity, None, SampleFault.SENSOR_FAULT) for s in silent]
    glucose = off + track((100, 112), quantity="glucose_interstitial")
    origin = window.origin_ms([track((0, 112)), glucose], seed="1")

    assert origin >= 99 * HOUR_MS


def test_sensors_that_never_meet_begin_at_the_start() -> None:
    """If sensors never measure together, the replay begins at the start."""
    assert window.origin_ms([track((0, 10)), track((20, 30))], seed="1") == 0


def test_replay_starts_over_when_it_ends() -> None:
    """At its end the recording starts over, and offsets never step back."""
    samples = track((0, 1))
    period = HOUR_MS
    played = window.endless(samples, origin=6 * STEP_MS, period=period)
    offsets = [s.offset_ms for s in itertools.islice(played, 30)]

    assert offsets == [i * STEP_MS for i in range(30)]
