"""
Replay: after a restore, erases again what came back, before ingest may store.

A telemetry database that was started or restored is closed to ingest (`vv.hold_permissions` says
so) until it is cleared here: until every erasure of the ledger is known to have been done in it,
every agent's permissions are those of the vault, and what is restricted there is left out here.
"""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from runtime.logs import Log
from trust.decisions import State, state
from trust.epochs import pseudonyms_of
from trust.erasure_ledger import LedgerFile, Step, Tombstones
from trust.errors import Tampered
from trust.ports import Keys
from trust.stores import Stores
from trust.upkeep import Upkeep
from trust.vault import Vault

_GROUP: Final = 100
_log: Final = Log("trust.replay")

Sweep = Callable[[Sequence[str]], object]


class Replay:
    """
    Clears the telemetry database.

    Args:
        vault: With the ledger.

        stores: What is cleared.

        upkeep: Brings agents up to date.

        keys: For tombstones and pseudonyms.

        controller: Who answers for the processing.

        sweep: Writes the files of relations anew; without it that is left to an operator.

        ledger_file: The ledger's copy.
    """

    def __init__(  # noqa: PLR0913 - it brings a database to all that the vault knows
        self,
        vault: Vault,
        stores: Stores,
        upkeep: Upkeep,
        keys: Keys,
        *,
        controller: str,
        sweep: Sweep | None,
        ledger_file: LedgerFile | None,
    ) -> None:
        self._vault = vault
        self._stores = stores
        self._upkeep = upkeep
        self._keys = keys
        self._controller = controller
        self._tombstones = Tombstones(keys.tombstone_key)
        self._sweep = sweep
        self._ledger_file = ledger_file
        self._is_under_way = False

    def ensure(self) -> None:
        """
        Return once the telemetry database is cleared; at once, if it is.

        Raises:
            Unavailable: It cannot be; do it again later.
        """
        # Bringing agents up to date, in the middle of it, asks for this too.
        if self._is_under_way or self._stores.is_cleared():
            return
        self.run()

    def run(self) -> list[int]:
        """
        Look for what a restore brought back, erase it, and clear the telemetry database.

        Returns:
            The erasures that were done again.

        Raises:
            Unavailable: Not all is done; do it again later.
            Tampered: The ledger is not as it was signed.
        """
        self._is_under_way = True
        try:
            return self._run()
        finally:
            self._is_under_way = False

    def _run(self) -> list[int]:
        again = self._take_over_file()
        marks = self._marks()
        self._bring_up_to_date()
        self._restrict_again()
        missing = self._stores.clear(sorted(marks))
        if missing:
            self._erase_again([marks[number] for number in missing], missing)
            self._stores.clear(sorted(marks))
        if again or missing:
            _log.warning("erased_again", erasures=len({*again, *missing}))
        return sorted({*again, *missing})

    def _take_over_file(self) -> list[int]:
        """Do again, in a vault that was restored, what only the ledger's file knows of."""
        again = []
        for entry in self._ledger_file.entries() if self._ledger_file else ():
            erasure = entry.erasure
            with self._vault.ledger() as ledger:
                if not ledger.enter(entry):
                    continue
                if erasure.purpose is None:
                    ledger.destroy_key(erasure.subject)
                ledger.delete_handles(erasure.subject, erasure.purpose)
            again.append(erasure.number)
        return again

    def _marks(self) -> dict[int, Step]:
        with self._vault.ledger() as ledger:
            found = {number: ledger.steps(number)["mark"] for number in ledger.marked()}
            for entry in self._ledger_file.entries() if self._ledger_file else ():
                found.setdefault(entry.erasure.number, ledger.read(entry))
        return found

    def _bring_up_to_date(self) -> None:
        """Bring the agents whose newest lease the telemetry database does not know."""
        there = self._stores.lease_versions()
        with self._vault.ledger() as ledger:
            leases = ledger.newest_leases()
        behind = [agent for agent, version in leases if there.get(agent, 0) < version]
        for first in range(0, len(behind), _GROUP):
            group = behind[first : first + _GROUP]
            with self._vault.transaction() as records:
                records.want(group)
            self._upkeep.attempt(group)

    def _restrict_again(self) -> None:
        """Leave out what is restricted, and let in what was lifted: a backup may know neither."""
        with self._vault.ledger() as ledger:
            scopes = [(*scope, ledger.epochs(scope[1])) for scope in ledger.restrictions()]
        for subject, purpose, epochs in scopes:
            names = pseudonyms_of(
                subject,
                keys=self._keys,
                controller=self._controller,
                purpose=purpose,
                epochs=epochs,
                skip_damaged=True,
            )
            is_restricted = self._is_restricted(subject, purpose)
            self._stores.restrict([n.value for n in names], is_restricted=is_restricted)

    def _is_restricted(self, subject: UUID, purpose: str) -> bool:
        with self._vault.transaction() as records:
            try:
                chain = records.decisions(subject, purpose)
            except Tampered:
                # Left out rather than let in; and nobody else is kept waiting for it.
                _log.error("tampered_restriction")
                return True
        is_cut = bool(self._upkeep.cut({(subject, purpose): len(chain)}))
        return is_cut or state(chain) is State.RESTRICTED

    def _erase_again(self, marks: Sequence[Step], numbers: Sequence[int]) -> None:
        tombstones = {t for mark in marks for t in mark.facts["tombstones"]}
        names = [n for n in self._stores.names() if self._tombstones.of(n.value) in tombstones]
        series = sorted({n.series for n in names})
        agents = sorted({n.agent for n in names if n.agent is not None})
        relations = self._stores.relations(series)
        self._stores.erase_rows(series)
        if self._sweep is not None:
            # While the names still lead there: cut off here, all of it is done again.
            self._sweep(relations)
        self._stores.erase_names(series, agents=agents, numbers=numbers)
        if self._sweep is not None:
            self._sweep([])
