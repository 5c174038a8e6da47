"""The handles of a sensor."""

from edge_agent.pipeline.pseudonymise import handles_by_sensor
from tests.fakes.edge_agent import HANDLE, OTHER_HANDLE, grant, lease


def test_each_sensor_has_its_handle() -> None:
    """A bound sensor measures for its handle, even if the lease names it several times."""
    bound = lease(grant(HANDLE, ["a", "b", "a"]), grant(OTHER_HANDLE, ["c"]))
    assert handles_by_sensor(bound) == {"a": (HANDLE,), "b": (HANDLE,), "c": (OTHER_HANDLE,)}


def test_sensor_serves_every_purpose_that_it_is_bound_for() -> None:
    """A sensor that is bound under two handles measures for both."""
    assert handles_by_sensor(lease(grant(HANDLE, ["a"]), grant(OTHER_HANDLE, ["a", "b"]))) == {
        "a": (HANDLE, OTHER_HANDLE),
        "b": (OTHER_HANDLE,),
    }
