"""Limits on attempts: a token bucket for each caller, refilled with time. Pure."""

import ipaddress
import math
from collections import OrderedDict

from runtime.token_bucket import TokenBucket


def network_of(address: str) -> str:
    """
    Return the network of *address*: the IPv4 address itself, or the /64 of an IPv6 address.

    A household usually gets a whole /64. All texts that are no address share one network.
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
    Counts attempts. The caller passes times, in seconds of a monotonic clock.

    Args:
        burst: How many attempts a caller may make at once.

        per_minute: How many attempts are added each minute.

        max_callers: How many callers are remembered; the least recently seen one is dropped.
    """

    def __init__(self, *, burst: int, per_minute: float, max_callers: int = 10_000) -> None:
        self._burst = float(burst)
        self._per_s = per_minute / 60
        self._max_callers = max_callers
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, caller: str, *, now: float) -> bool:
        """Use one attempt of *caller* at *now*, in seconds; return False if none was left."""
        bucket = self._buckets.pop(caller, None) or TokenBucket(self._burst, self._per_s, now)
        is_allowed = bucket.take(now=now)
        self._buckets[caller] = bucket
        if len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        return is_allowed

    def wait_s(self, caller: str, *, now: float) -> int:
        """Return in how many whole seconds *caller* has an attempt again; this uses no attempt."""
        bucket = self._buckets.get(caller)
        if bucket is None:
            return 0
        return max(0, math.ceil(bucket.wait_s(now=now)))
