"""The result of a reconciliation: what was done for gateways, and what failed."""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from trust.domain.units import SENTENCES, Failure, gateway
from trust.errors import NotInForce


class Reconciled(msgspec.Struct, frozen=True):
    """The result of a reconciliation."""

    committed_at: dt.datetime | None = None
    """The time just after the COMMIT in the telemetry database returned; None for no change."""
    withdrawn_at: dt.datetime | None = None
    versions: dict[str, int] = {}
    """The version of the newest lease of each agent."""
    failures: Mapping[str, frozenset[Failure]] = {}
    """What could not be planned, by agent; everything else is done."""
    left: frozenset[str] = frozenset()
    """The agents for which nothing could be done; even ended permissions are not withdrawn."""

    def check(self, agent: str | None = None) -> "Reconciled":
        """
        Return this result if all ended permissions are withdrawn and *agent* is up to date.

        Raises:
            NotInForce: A change is not in force yet; its record in the vault stands.
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
    """Combine *parts* into one result."""
    return Reconciled(
        max((p.committed_at for p in parts if p.committed_at), default=None),
        max((p.withdrawn_at for p in parts if p.withdrawn_at), default=None),
        {agent: version for p in parts for agent, version in p.versions.items()},
        {agent: found for p in parts for agent, found in p.failures.items()},
        frozenset().union(*(p.left for p in parts)),
    )
