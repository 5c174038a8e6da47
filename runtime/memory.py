"""Gives memory that is free back to the system."""

import ctypes


def give_back() -> None:
    """
    Have the C library return to the system what it keeps for later allocations.

    After a million permissions were read that is more than the permissions themselves. Where the
    library has no such call, nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
