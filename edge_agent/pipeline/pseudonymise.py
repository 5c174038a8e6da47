"""Replace sensors by handles: after this step, no address is known."""

from wire.lease import Lease


def handles_by_sensor(lease: Lease) -> dict[str, tuple[bytes, ...]]:
    """
    Return the handles that each sensor measures for, under *lease*.

    Several handles of a sensor belong to one person, one for each purpose: trust binds no sensor
    to two people.
    """
    found: dict[str, dict[bytes, None]] = {}
    for grant in lease.grants:
        for sensor in grant.bindings:
            found.setdefault(sensor, {})[grant.handle] = None
    return {sensor: tuple(handles) for sensor, handles in found.items()}
