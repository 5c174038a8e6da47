"""
Checkpoints: the numbers that must outlive the process, so that no record is taken twice and no
interval observed twice.

A checkpoint (mark) is saved in the transaction that makes its measurements durable. Its label
names a sensor or a handle, so the spool stores a keyed tag instead.
"""

import msgspec


class Checkpoint(msgspec.Struct, frozen=True):
    """The label of a checkpoint."""

    label: bytes
    handle: bytes | None = None
    """The handle that the mark belongs to: purging the handle deletes it."""


def cursor_of(sensor: str) -> Checkpoint:
    """Every record of *sensor* up to this one is spooled or dropped."""
    return Checkpoint(b"cursor\x00" + sensor.encode())


def through_of(sensor: str, quantity: int) -> Checkpoint:
    """Every record of *quantity* up to this one is durable or dropped; may pass the cursor."""
    return Checkpoint(b"through\x00" + sensor.encode() + b"\x00" + quantity.to_bytes(2, "big"))


def spent_of(handle: bytes, quantity: int) -> Checkpoint:
    """Every interval of *quantity* that begins before this instant (ms) has its observation."""
    return Checkpoint(b"spent\x00" + handle + quantity.to_bytes(2, "big"), handle)


def record_of(handle: bytes, quantity: int, sensor: str) -> Checkpoint:
    """Every record of *sensor* up to this one has its outcome for *handle* and *quantity*."""
    label = b"record\x00" + handle + quantity.to_bytes(2, "big") + sensor.encode()
    return Checkpoint(label, handle)


def single_of(handle: bytes, slot: int) -> Checkpoint:
    """What a person took in this second of the sensor's clock is durable or dropped."""
    return Checkpoint(b"single\x00" + handle + slot.to_bytes(2, "big"), handle)
