"""What reconciling did for gateways, and what could not be done."""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from trust.domain.units import SENTENCES, Failure, gateway
from trust.errors import NotInForce


class Reconciled(msgspec.Struct, frozen=True):
    """What reconciling did."""

    committed_at: dt.datetime | None = None
    """The time just after the COMMIT in the telemetry database returned; None for no change."""
    withdrawn_at: dt.datetime | None = None
    versions: dict[str, int] = {}
    """Of the newest lease of each agent."""
    failures: Mapping[str, frozenset[Failure]] = {}
    """What could not be worked out, by agent; all else is done."""
    left: frozenset[str] = frozenset()
    """Agents for which nothing could be done, not even to end what has ended."""

    def check(self, agent: str | None = None) -> "Reconciled":
        """
        Return it, if what has ended is ended everywhere, and *agent* has what was decided.

        Raises:
            NotInForce: It is not; what was recorded stands.
        """
        at_fault = set(self.left)
        if agent is not None and any(
            f.unit == gateway(agent) for f in self.failures.get(agent, ())
        ):
            at_fault.add(agent)
        causes = {f.cause for one in at_fault for f in self.failures[one]}
        if causes:
            raise NotInForce([". ".join(SENTENCES[cause]) for cause in sorted(causes)])
        return self


def together(parts: Sequence[Reconciled]) -> Reconciled:
    """Return one result for all that was done in *parts*."""
    return Reconciled(
        max((p.committed_at for p in parts if p.committed_at), default=None),
        max((p.withdrawn_at for p in parts if p.withdrawn_at), default=None),
        {agent: version for p in parts for agent, version in p.versions.items()},
        {agent: found for p in parts for agent, found in p.failures.items()},
        frozenset().union(*(p.left for p in parts)),
    )
