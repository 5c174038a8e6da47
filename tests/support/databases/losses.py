"""Compares what a restored database has lost with the query of the how-to page."""

from typing import Final

import psycopg

from simulators.stack.system import System
from tests.support.operator_shell import ROOT, Operator, commands

PAGE: Final = ROOT / "docs/howto/recover-to-a-moment.md"
MOMENT: Final = "2026-03-01 14:05:00+00"
_LEDGER: Final = "SELECT agent, spool_id, sequence FROM vv.envelopes"


class Losses:
    """
    The envelopes that were committed before a restore and are not in the ledger afterwards.

    Args:
        whole: The system, whose database has all committed envelopes at this moment.

        agent: The agent whose envelopes are counted.
    """

    def __init__(self, whole: System, *, agent: str) -> None:
        self._whole = whole
        self._agent = agent
        self._then = self._ledger()

    def _ledger(self) -> set[tuple[object, ...]]:
        with psycopg.connect(self._whole.databases.admin("telemetry")) as connection:
            found = connection.execute(_LEDGER).fetchall()
        return {one for one in found if one[0] == self._agent}

    def count(self) -> int:
        """Return the number of lost envelopes."""
        return len(self._then - self._ledger())

    def told(self, operator: Operator) -> int:
        """Return the number of lost envelopes by the page's query, for all gateways."""
        *_, query, _ = commands(PAGE, "Go back to a moment")
        said = operator.type(query)
        return int(said.splitlines()[2].split("|")[1])


def stop_programs(whole: System) -> None:
    """Stop ingest and trust, as the page says."""
    for child in (whole.ingest, whole.trust):
        assert child is not None
        child.stop()
