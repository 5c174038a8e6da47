"""Swap the sensor for its handle: the last place where an address is known."""

from collections import Counter

from wire.lease import Lease


def handles_by_sensor(lease: Lease) -> dict[str, bytes]:
    """
    Return whose sensor is whose, under *lease*.

    A sensor that is bound to two handles is bound to neither: whom it measures is not known.
    """
    bound = Counter(sensor for grant in lease.grants for sensor in set(grant.bindings))
    return {
        sensor: grant.handle
        for grant in lease.grants
        for sensor in grant.bindings
        if bound[sensor] == 1
    }
