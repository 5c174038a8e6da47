"""How often somebody may try: a bucket of attempts for each, that fills again with time. Pure."""

import ipaddress
import math
from collections import OrderedDict

from runtime.token_bucket import TokenBucket


def network_of(address: str) -> str:
    """
    Return whose *address* is: itself, and of IPv6 the /64 that one household is given whole.

    What is no address is one network too.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), 64), strict=False))


class Throttle:
    """
    Counts attempts. Times are in seconds of a monotonic clock, which the caller passes in.

    Args:
        burst: How many may come at once.

        per_minute: How many more in each minute.

        max_callers: How many are kept in mind; the one not heard of for longest is forgotten.
    """

    def __init__(self, *, burst: int, per_minute: float, max_callers: int = 10_000) -> None:
        self._burst = float(burst)
        self._per_s = per_minute / 60
        self._max_callers = max_callers
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, caller: str, *, now: float) -> bool:
        """Take one attempt of *caller*, and tell whether there was one left."""
        bucket = self._buckets.pop(caller, None) or TokenBucket(self._burst, self._per_s, now)
        is_allowed = bucket.take(now=now)
        self._buckets[caller] = bucket
        if len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        return is_allowed

    def wait_s(self, caller: str, *, now: float) -> int:
        """Return after how many whole seconds *caller* has an attempt left; takes none."""
        bucket = self._buckets.get(caller)
        if bucket is None:
            return 0
        return max(0, math.ceil(bucket.wait_s(now=now)))
