"""Returns free memory to the operating system."""

import ctypes


def give_back() -> None:
    """
    Call `malloc_trim` of the C library, which returns free memory to the operating system.

    After reading a million permissions, the free memory is more than the permissions themselves.
    Without `malloc_trim` (only glibc has it), nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
