"""
Delays between attempts: exponential backoff with full jitter. Pure.

https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (Brooker, 2015)
"""

from collections.abc import Callable


class Backoff:
    """
    Delays that grow with each failure in a row, each drawn between 0 and a bound.

    Full jitter spreads the attempts of many clients that lost a server at the same time.

    Args:
        random: Returns a number from 0 to 1.

        first_s: The first bound; each further bound is twice the one before.

        longest_s: The last bound.
    """

    def __init__(
        self, random: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 30.0
    ) -> None:
        self._random = random
        self._first_s = first_s
        self.longest_s = longest_s
        """May be changed at any time; the next delay uses it."""
        self._bound_s = first_s
        self.failures = 0
        """Number of failures in a row."""

    def failed(self) -> float:
        """Count a failure; return the delay before the next attempt, s."""
        wait_s = self._random() * min(self._bound_s, self.longest_s)
        self._bound_s = min(self.longest_s, 2 * self._bound_s)
        self.failures += 1
        return wait_s

    def succeeded(self) -> None:
        """Reset the delay to the first bound, and the number of failures to 0."""
        self._bound_s = self._first_s
        self.failures = 0
