"""How long to wait before the next attempt: exponential, with full jitter. Pure."""

from collections.abc import Callable


class Backoff:
    """
    Waits that grow with each failure in a row, each drawn between 0 and its bound.

    Full jitter, so that many who lost a server together do not return together.

    Args:
        random: Draws from 0 to 1.

        first_s: The first bound; each is twice the one before.

        longest_s: The last.
    """

    def __init__(
        self, random: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 30.0
    ) -> None:
        self._random = random
        self._first_s = first_s
        self.longest_s = longest_s
        """May be changed at any time; the next wait obeys it."""
        self._bound_s = first_s
        self.failures = 0
        """How many in a row."""

    def failed(self) -> float:
        """Count a failure; return how many seconds to wait."""
        wait_s = self._random() * min(self._bound_s, self.longest_s)
        self._bound_s = min(self.longest_s, 2 * self._bound_s)
        self.failures += 1
        return wait_s

    def succeeded(self) -> None:
        """Start again with the first bound."""
        self._bound_s = self._first_s
        self.failures = 0
