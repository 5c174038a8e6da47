"""The processor time of a process, as the benchmark reads it."""

import os
import threading
import time

from benchmarks.world.process import cpu_s


def _burn() -> None:
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass


def test_threads_that_have_ended_count() -> None:
    """A server with a thread for each request costs no less than one without."""
    before = cpu_s(os.getpid())
    thread = threading.Thread(target=_burn)
    thread.start()
    thread.join()
    assert cpu_s(os.getpid()) - before >= 0.02


def test_process_that_has_ended_has_no_time() -> None:
    """A worker may end while the sampler looks at it."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    assert cpu_s(child) == 0.0
