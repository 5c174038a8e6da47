"""The effect of Ctrl-C on the demo."""

import pytest

from simulators.demo.cli import Interrupt


def test_who_presses_twice_gets_no_more_than_who_presses_once() -> None:
    """A second Ctrl-C within a moment does not interrupt the cleanup."""
    now = [10.0]
    interrupt = Interrupt(clock=lambda: now[0])
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    now[0] = 11.9
    interrupt()


def test_a_press_that_was_swallowed_can_be_repeated() -> None:
    """If Python swallows an interrupt in a fork handler, the next Ctrl-C ends the demo."""
    now = [10.0]
    interrupt = Interrupt(clock=lambda: now[0])
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    now[0] = 12.1
    with pytest.raises(KeyboardInterrupt):
        interrupt()
