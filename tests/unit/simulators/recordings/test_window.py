"""Where in a recording to begin, and how to go on."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from simulators.recordings import window
from simulators.recordings.sample import Sample, SampleFault

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
    """A gap of a night does not make a slow sensor."""
    assert window.typical_step_ms(track((0, 5), (13, 20))) == STEP_MS


def test_usual_step_is_that_of_the_commonest_quantity() -> None:
    """Two quantities of one notification are not 0 ms apart."""
    samples = [Sample(t, q, 1.0) for t in range(0, 9000, 1000) for q in ("a", "b")]

    assert window.typical_step_ms(samples) == 1000
    assert window.typical_step_ms(samples[:1]) == 1000


@given(st.integers())
def test_beginning_is_where_all_sensors_measure(seed: int) -> None:
    """The CGM sensor was off for days; the replay begins where it is on for hours to come."""
    heart_rates = track((0, 200))
    glucose = track((50, 60), (120, 150), quantity="glucose_interstitial")
    origin_h = window.origin_ms([heart_rates, glucose], seed=str(seed)) / HOUR_MS

    assert 49 <= origin_h <= 55 or 119 <= origin_h <= 145


def test_beginning_is_chosen_by_the_seed_alone() -> None:
    """The same seed begins at the same place; another one need not."""
    tracks = [track((0, 200)), track((0, 200), quantity="glucose_interstitial")]
    origins = [window.origin_ms(tracks, seed=seed) for seed in ("1", "1", "2", "3", "4")]

    assert origins[0] == origins[1]
    assert len(set(origins)) > 1


def test_faults_are_no_data() -> None:
    """Hours of a sensor at fault are no place to begin."""
    silent = track((0, 100), quantity="glucose_interstitial")
    off = [Sample(s.offset_ms, s.quantity, None, SampleFault.SENSOR_FAULT) for s in silent]
    glucose = off + track((100, 112), quantity="glucose_interstitial")
    origin = window.origin_ms([track((0, 112)), glucose], seed="1")

    assert origin >= 99 * HOUR_MS


def test_sensors_that_never_meet_begin_at_the_start() -> None:
    """Where no moment is good, there is still one to begin at."""
    assert window.origin_ms([track((0, 10)), track((20, 30))], seed="1") == 0


def test_replay_starts_over_when_it_ends() -> None:
    """The recording is a ring; its offsets go on without a jump back."""
    samples = track((0, 1))
    period = HOUR_MS
    played = window.endless(samples, origin=6 * STEP_MS, period=period)
    offsets = [s.offset_ms for s in itertools.islice(played, 30)]

    assert offsets == [i * STEP_MS for i in range(30)]
