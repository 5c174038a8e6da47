"""What Ctrl-C does to the demo, press by press."""

import pytest

from simulators.demo.cli import Interrupt


def test_who_presses_twice_gets_no_more_than_who_presses_once() -> None:
    """A second press in the same breath must not cut the tidying up off."""
    now = [10.0]
    interrupt = Interrupt(clock=lambda: now[0])
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    now[0] = 11.9
    interrupt()


def test_a_press_that_was_swallowed_can_be_repeated() -> None:
    """Python swallows what is raised while it forks; the demo would play on to its end."""
    now = [10.0]
    interrupt = Interrupt(clock=lambda: now[0])
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    now[0] = 12.1
    with pytest.raises(KeyboardInterrupt):
        interrupt()
