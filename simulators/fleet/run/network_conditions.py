"""Applies the network conditions of a scenario to a relay, phase by phase."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from simulators.fleet.scenario.scenario import Network, Scenario
from simulators.stack.network import PERFECT, Conditions, Relay

_SHARE: Final = 0.1
"""Share of the connections that a cut, or a loss of state, affects."""


def conditions_of(network: Network) -> Conditions:
    """Return *network* as the conditions of a relay."""
    return Conditions(
        latency_s=network.latency_ms / 1000,
        jitter_s=network.jitter_ms / 1000,
        stall=network.stall,
        stall_s=network.stall_ms / 1000,
        bytes_per_s=network.kbit_per_s * 125,
    )


class NetworkConditions:
    """
    Changes the conditions of a relay with the phases of a scenario.

    Args:
        scenario: The scenario that is played.

        relay: The relay between the fleet and the broker.
    """

    def __init__(self, scenario: Scenario, relay: Relay) -> None:
        self._scenario = scenario
        self._relay = relay

    async def play(self, starts_at: float) -> None:
        """Play all phases, the first from *starts_at* on, in seconds since 1970."""
        at = starts_at
        for phase in self._scenario.phases:
            await asyncio.sleep(max(0.0, at - time.time()))
            self._relay.conditions = conditions_of(phase.network)
            at += phase.duration_s
            await asyncio.gather(
                self._now_and_then(phase.network.cut_every_s, at, self._relay.cut),
                self._now_and_then(phase.network.vanish_every_s, at, self._relay.vanish),
            )
        self._relay.conditions = PERFECT

    @staticmethod
    async def _now_and_then(every_s: float, until: float, do: Callable[[float], None]) -> None:
        while every_s and time.time() + every_s < until:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(do, _SHARE)
