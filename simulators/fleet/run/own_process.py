"""The memory of this process, and its limit of open files."""

import os
import resource
from pathlib import Path


def rss_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> int:
    """Raise the soft limit of open files, for this process and its children; return the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
