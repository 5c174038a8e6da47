"""What this very process occupies, and may open."""

import os
import resource
from pathlib import Path


def rss_bytes() -> int:
    """Return how much memory this process occupies."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> int:
    """Let this process, and what it starts, open as many files as it may; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
