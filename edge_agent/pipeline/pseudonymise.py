"""Replace sensors by handles: after this step, no address is known."""

from wire.lease import Binding, Lease


def handles_by_sensor(lease: Lease) -> dict[str, tuple[bytes, ...]]:
    """
    Return the handles that each sensor measures for, under *lease*, by its address.

    Several handles of a sensor belong to one person, one for each purpose, unless the sensor tells
    its users apart: trust binds no sensor, and no user of one, to two people.
    """
    found: dict[str, dict[bytes, None]] = {}
    for binding, handles in handles_by_binding(lease).items():
        found.setdefault(binding.address, {}).update(dict.fromkeys(handles))
    return {sensor: tuple(handles) for sensor, handles in found.items()}


def handles_by_binding(lease: Lease) -> dict[Binding, tuple[bytes, ...]]:
    """Return the handles that each sensor, or each bound user of one, measures for."""
    found: dict[Binding, dict[bytes, None]] = {}
    for grant in lease.grants:
        for text in grant.bindings:
            found.setdefault(Binding.parse(text), {})[grant.handle] = None
    return {binding: tuple(handles) for binding, handles in found.items()}
