"""Waiting batches: which are due, which a new lease drops, and which are handed out."""

from edge_agent.pipeline.batch_queue import BatchLimits, BatchQueue
from edge_agent.pipeline.minimise import MinimisedObservation
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, OTHER_SENSOR, grant, lease
from wire.policy import Rule
from wire.quantities import BY_NAME

LIMITS = BatchLimits(max_observations=3, max_age_s=1.0, due_observations=3)
SYSTOLIC = BY_NAME["blood_pressure_systolic"].code


def add(
    queue: BatchQueue,
    now: float,
    *,
    handle: bytes = HANDLE,
    quantity: int = 1,
    version: int = 1,
    is_single: bool = False,
) -> None:
    """Add one observation."""
    observation = MinimisedObservation(1_000, 60, is_single)
    queue.add(handle, quantity, observation, lease=version, now=now)


def test_nothing_is_due_in_an_empty_queue() -> None:
    """Without observations there is no deadline, no handle and no body."""
    queue = BatchQueue()
    assert queue.due_in_s(LIMITS, now=0.0) is None
    assert queue.due(LIMITS, now=9e9) == []
    assert queue.take([], LIMITS) == []
    assert queue.observations == 0
    assert not queue.has_any([HANDLE])


def test_a_batch_is_due_at_its_age_or_when_it_is_full() -> None:
    """A batch is due `max_age_s` after its first observation, or when it is full."""
    queue = BatchQueue()
    add(queue, 10.0)
    add(queue, 10.5)
    assert queue.due_in_s(LIMITS, now=10.75) == 0.25
    assert queue.due(LIMITS, now=10.75) == []
    assert queue.due(LIMITS, now=11.0) == [HANDLE]
    add(queue, 10.75)
    assert queue.due_in_s(LIMITS, now=10.75) == 0.0
    assert queue.due(LIMITS, now=10.75) == [HANDLE]


def test_a_full_batch_takes_no_other_handle_along() -> None:
    """A full batch makes only its own handle due, and no batch of other handles."""
    queue = BatchQueue()
    add(queue, 0.0, handle=OTHER_HANDLE)
    for _ in range(3):
        add(queue, 0.75)
    assert queue.due(LIMITS, now=0.75) == [HANDLE]


def test_batches_of_half_the_age_share_a_commit() -> None:
    """When one batch has reached its age, those of half that age are written along."""
    queue = BatchQueue()
    add(queue, 0.0)
    add(queue, 0.5, handle=OTHER_HANDLE)
    assert queue.due(LIMITS, now=1.0) == [HANDLE, OTHER_HANDLE]
    assert queue.due(LIMITS, now=0.99) == []
    young = BatchQueue()
    add(young, 0.0)
    add(young, 0.6, handle=OTHER_HANDLE)
    assert young.due(LIMITS, now=1.0) == [HANDLE]


def test_observations_of_two_leases_go_into_two_bodies() -> None:
    """A body names one version of the lease, so observations of two leases are in two bodies."""
    queue = BatchQueue()
    add(queue, 0.0, version=1)
    add(queue, 0.1, version=2)
    add(queue, 0.2, version=1)
    bodies = queue.take(queue.handles(), LIMITS)
    assert [(body.lease, sum(map(len, body.blocks))) for body in bodies] == [(1, 2), (2, 1)]
    assert queue.observations == 0


def test_a_lease_drops_the_quantities_and_handles_that_it_does_not_allow() -> None:
    """
    Waiting observations of a handle or quantity outside the new lease are dropped and
    counted.
    """
    queue = BatchQueue()
    add(queue, 0.0)
    add(queue, 0.0, quantity=SYSTOLIC)
    add(queue, 0.0, handle=OTHER_HANDLE)
    assert queue.drop_not_allowed(lease(grant(rules=[Rule(1)]))) == 2
    assert queue.handles() == [HANDLE]
    assert queue.observations == 1
    assert queue.drop_not_allowed(lease(grant(OTHER_HANDLE, [OTHER_SENSOR]))) == 1
    assert queue.handles() == []


def test_a_dropped_single_observation_makes_nothing_urgent() -> None:
    """
    If a measurement that was taken on purpose leaves the lease, the other batches are not written
    early.
    """
    queue = BatchQueue()
    add(queue, 0.0)
    add(queue, 0.0, quantity=SYSTOLIC, is_single=True)
    assert queue.due_in_s(LIMITS, now=0.0) == 0.0
    queue.drop_not_allowed(lease(grant(rules=[Rule(1)])))
    assert queue.due_in_s(LIMITS, now=0.0) == 1.0
