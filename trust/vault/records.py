"""
The records of the vault, within one transaction: read and written, signed and verified.

Whatever is read is verified: a decision or a policy that our keys did not sign is not used.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from runtime.database import named_sql
from trust.decisions import decisions
from trust.decisions.decisions import Decision
from trust.decisions.leases import sealed_packet_bytes
from trust.domain import canonical, subjects
from trust.domain.purposes import Purpose
from trust.domain.subjects import PersonalDetails
from trust.errors import NotFound, Tampered
from trust.ports import Keys, SealedLease
from trust.vault.database import Connection, Row
from trust.vault.handles import Handle, SealedHandle, issued_for, open_handle
from trust.vault.journal import Journal
from trust.vault.policies import PolicyRegister
from trust.vault.registers import Registers
from trust.vault.set_aside import SetAsideRegister

_SQL = named_sql.read(
    "trust.vault",
    "subjects.sql",
    "purposes.sql",
    "decisions.sql",
    "agents.sql",
    "handles.sql",
    "leases.sql",
)
_PURPOSE_KIND = "purpose"


class Agent(msgspec.Struct, frozen=True):
    """A gateway, as the vault knows it."""

    agent: str
    format: str
    lease_key: bytes | None
    revoked_at: dt.datetime | None
    wanted: int
    applied: int
    lease_version: int
    due_at: dt.datetime | None
    certified_until: dt.datetime | None = None
    """When the last of its certificates ends."""
    reads_padded: bool = False
    """Whether it is known to read padded leases."""

    @property
    def registered(self) -> bytes:
        """What never changes of it: how it speaks, and what its leases are sealed to."""
        return self.format.encode() + b"/" + (self.lease_key or b"")


class Records:
    """
    The vault, seen from inside one transaction.

    Args:
        connection: In that transaction.

        keys: To sign, verify, seal and open with.

        purposes: Those read before; they never change.
    """

    def __init__(
        self, connection: Connection, keys: Keys, purposes: dict[tuple[str, int], Purpose]
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._purposes = purposes

        self.registers = Registers(connection, keys)
        self.journal = Journal(connection)
        self.set_aside = SetAsideRegister(connection)
        self.policies = PolicyRegister(connection, keys)

    def _run(self, name: str, *arguments: Any) -> int:
        return self._connection.execute(_SQL[name], arguments).rowcount

    def _fetch(self, name: str, *arguments: Any) -> list[Row]:
        return self._connection.execute(_SQL[name], arguments).fetchall()

    # Subjects

    def add_subject(self, subject: UUID, identity: PersonalDetails) -> None:
        """Keep *identity*, sealed under a new data key."""
        data_key = subjects.new_data_key()
        sealed = subjects.seal_identity(identity, subject=subject, data_key=data_key)
        wrapped = self._keys.wrap(data_key, bound_to=subject.bytes)
        self._run("add_subject", subject, self._keys.key_id, wrapped, sealed)

    def data_key(self, subject: UUID) -> bytes:
        """
        Return the data key of *subject*.

        Raises:
            NotFound: There is no such subject.
        """
        return self._data_key("data_key", subject)

    def hold_subject(self, subject: UUID) -> bytes:
        """
        Return the data key of *subject*; nobody destroys it until the transaction ends.

        Raises:
            NotFound: There is no such subject.
        """
        return self._data_key("hold_subject", subject)

    def _data_key(self, query: str, subject: UUID) -> bytes:
        rows = self._fetch(query, subject)
        if not rows:
            raise NotFound("subject", "Add one with `vitalveil trust subject add`.")
        return self._keys.unwrap(bytes(rows[0][0]), bound_to=subject.bytes)

    # Purposes

    def add_purpose(self, purpose: Purpose) -> bool:
        """Keep *purpose*, signed; return False when this version is there already."""
        document = canonical.encode(purpose)
        signature = self._keys.sign(canonical.to_sign(_PURPOSE_KIND, document))
        digest = canonical.digest(document)
        key_id = self._keys.key_id
        name, version = purpose.name, purpose.version
        return self._run("add_purpose", name, version, document, digest, key_id, signature) == 1

    def share_purpose(self, purpose: str) -> None:
        """Let nobody rotate *purpose* until the end."""
        self._fetch("share_purpose", purpose)

    def lock_purpose(self, purpose: str) -> None:
        """Let nobody else issue handles for *purpose*, or rotate it, until the end."""
        self._fetch("lock_purpose", purpose)

    def versions(self, purpose: str) -> list[int]:
        """Return the versions of *purpose*, the newest at first."""
        return [version for (version,) in self._fetch("versions", purpose)]

    def purpose(self, name: str, version: int) -> Purpose:
        """
        Return a version of a purpose.

        Raises:
            NotFound: There is none.
            Tampered: It is not as it was signed.
        """
        if (name, version) not in self._purposes:
            rows = self._fetch("purpose", name, version)
            if not rows:
                raise NotFound("purpose", "Load its policy with `vitalveil trust policy load`.")
            document, signature = map(bytes, rows[0])
            signed = canonical.to_sign(_PURPOSE_KIND, document)
            self._keys.verify(signature, signed, what="a policy")
            found = canonical.decode(document, Purpose, what="a policy")
            # Signed as ours, and perhaps for another row: a finer policy under this name.
            if (found.name, found.version) != (name, version):
                raise Tampered("a policy")
            self._purposes[name, version] = found
        return self._purposes[name, version]

    def loaded_at(self, name: str, version: int) -> dt.datetime:
        """Return when a version of a purpose, which is there, was loaded."""
        loaded_at: dt.datetime = self._fetch("loaded_at", name, version)[0][0]
        return loaded_at

    def references(self) -> list[tuple[str, int]]:
        """Return name and version of every purpose."""
        return [(name, version) for name, version in self._fetch("purposes")]

    def purposes(self) -> list[Purpose]:
        """Return every version of every purpose."""
        return [self.purpose(name, version) for name, version in self.references()]

    # Decisions

    def lock_chain(self, subject: UUID, purpose: str) -> None:
        """Let nobody else decide for *subject* and *purpose* until the transaction ends."""
        self._fetch("lock_chain", f"{subject}/{purpose}")

    def add_decision(self, decision: Decision) -> None:
        """Keep *decision*, signed."""
        document = decisions.encode(decision)
        self._run(
            "add_decision",
            decision.decision,
            decision.subject,
            decision.purpose,
            decision.version,
            decision.supersedes,
            document,
            self._keys.key_id,
            self._keys.sign(canonical.to_sign(decisions.KIND, document)),
        )

    def decisions(self, subject: UUID, purpose: str) -> list[Decision]:
        """
        Return the decisions of *subject* for *purpose*, in their order.

        Raises:
            Tampered: One is not as it was signed, or the chain is broken.
        """
        found = [self._verified(*row) for row in self._fetch("decisions", subject, purpose)]
        return decisions.chain(found, subject=subject, purpose=purpose)

    def signed_decisions_of(
        self, agents: Sequence[str]
    ) -> dict[tuple[UUID, str], list[tuple[bytes, bytes]]]:
        """
        Return what the handles of *agents* rest on: by subject and purpose, in their order.

        Document and signature of each decision; neither is verified.
        """
        found: dict[tuple[UUID, str], list[tuple[bytes, bytes]]] = {}
        for subject, purpose, document, signature in self._fetch(
            "decisions_of_handles", list(agents)
        ):
            found.setdefault((subject, purpose), []).append((bytes(document), bytes(signature)))
        return found

    def verified_chain(
        self, chain: tuple[UUID, str], signed: Iterable[tuple[bytes, bytes]]
    ) -> list[Decision]:
        """
        Return the decisions of *chain*, whose documents and signatures *signed* are.

        Raises:
            Tampered: One is not as it was signed, or the chain is broken.
        """
        subject, purpose = chain
        found = [self._verified(document, signature) for document, signature in signed]
        return decisions.chain(found, subject=subject, purpose=purpose)

    def _verified(self, document: bytes, signature: bytes) -> Decision:
        signed = canonical.to_sign(decisions.KIND, bytes(document))
        self._keys.verify(bytes(signature), signed, what="a decision")
        return decisions.decode(bytes(document))

    # Agents

    def add_agent(self, agent: str, *, sealed: bool, lease_key: bytes | None) -> None:
        """Register *agent*."""
        self._run("add_agent", agent, "sealed" if sealed else "json", lease_key)

    def add_certificate(self, agent: str, serial: int, *, not_after: dt.datetime) -> None:
        """Register a certificate of *agent*."""
        self._run("add_certificate", serial, agent, not_after)

    def add_agents(self, agents: Sequence[tuple[str, bytes | None]]) -> None:
        """Register *agents*, each with its lease key; without one it speaks JSON."""
        rows = [(name, "json" if key is None else "sealed", key) for name, key in agents]
        with self._connection.cursor() as cursor:
            cursor.executemany(_SQL["add_agent"], rows)

    def add_certificates(self, issued: Sequence[tuple[int, str, dt.datetime]]) -> None:
        """Register certificates: serial number, agent and end of each."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_SQL["add_certificate"], issued)

    def lock_agents(self, agents: Iterable[str]) -> list[Agent]:
        """Return those of *agents* that there are; nobody else changes them until the end."""
        return [Agent(*row) for row in self._fetch("lock_agents", list(agents))]

    def hold_agents(self, agents: Sequence[str]) -> list[str]:
        """Let nobody else change *agents* until the end; return those that there are."""
        return [agent for (agent,) in self._fetch("hold_agents", list(agents))]

    def hold_agent(self, agent: str) -> tuple[str, bool] | None:
        """Hold *agent* likewise; return how it speaks, and whether it is revoked."""
        return next(((kind, gone) for kind, gone in self._fetch("hold_agent", agent)), None)

    def live_handles(self, agent: str) -> list[bytes]:
        """Return the handles of *agent* that have not ended."""
        return [bytes(handle) for (handle,) in self._fetch("live_handles", agent)]

    def has_lease_key(self, lease_key: bytes) -> bool:
        """Tell whether an agent has *lease_key*; none other gets it until the end."""
        self._fetch("lock_lease_key", lease_key.hex())
        return bool(self._fetch("has_lease_key", lease_key))

    def want(self, agents: Sequence[str]) -> None:
        """Note that what *agents* may measure has changed."""
        self._run("mark_stale", list(agents))

    def note_padded(self, agents: Sequence[str]) -> int:
        """
        Note that *agents* read padded leases, and have such a lease issued to them.

        Returns:
            Of how many that was not known. Passed over are those that are not there, are revoked,
            speak JSON, or have leases without padding for a time.
        """
        return self._run("note_padded", list(agents))

    def unpad(self, agent: str | None, *, valid_for: dt.timedelta) -> int:
        """Have leases of *agent*, or of all, be without padding so long; return how many."""
        return self._run("unpad", agent, agent, valid_for)

    def revoke(self, agent: str) -> None:
        """Note that *agent* and its certificates are not to be trusted any more."""
        self._run("revoke_agent", agent)
        self._run("revoke_certificates", agent)

    def larger_leases(self, *, than_bytes: int) -> list[tuple[str, int]]:
        """Return gateways whose lease takes a larger packet, and how large; the largest first."""
        rows = self._fetch("larger_leases", sealed_packet_bytes(0), than_bytes)
        return [(agent, int(size)) for agent, size in rows]

    def wanted(self, agent: str) -> int:
        """Return how many changes of *agent* are wanted so far; 0 without one."""
        rows = self._fetch("wanted", agent)
        return int(rows[0][0]) if rows else 0

    def uncut(self) -> list[str]:
        """Return all revoked agents whose connection was not ended yet."""
        return [agent for (agent,) in self._fetch("uncut")]

    def note_cut(self, agents: Sequence[str]) -> None:
        """Note that the broker keeps *agents* out, and that none of them is connected."""
        self._run("note_cut", list(agents))

    def owners_of(self, serials: Iterable[int]) -> list[str]:
        """Return the agents that the certificates *serials* are of, as far as they are known."""
        return [agent for (agent,) in self._fetch("owners_of_certificates", list(serials))]

    def revocations(self) -> list[tuple[int, dt.datetime]]:
        """Return the serial number of each revoked certificate, and when it was."""
        return [(int(serial), at) for serial, at in self._fetch("revocations")]

    def save_applied(self, agent: str, revision: int) -> None:
        """Note that the telemetry database has *revision* of *agent*."""
        self._run("save_applied", revision, agent)

    def save_lease(
        self, lease: SealedLease | None, agent: str, *, version: int, term: tuple[Any, Any]
    ) -> None:
        """Keep the lease of *agent* until the broker has it; *term* is its end and the next."""
        sealed = None if lease is None else lease.sealed
        self._run("save_lease", version, sealed, *term, agent)

    def supersede_leases(self, version: int) -> int:
        """Have a new lease issued to every agent, above *version*; return to how many."""
        return self._run("supersede_leases", version)

    # Handles

    def add_handle(self, handle: Handle, *, data_key: bytes) -> None:
        """Keep *handle*, its bindings sealed under its subject's data key."""
        issued = issued_for(handle.agent, handle.purpose, handle.decision)
        self._run(
            "add_handle",
            handle.handle,
            handle.subject,
            handle.agent,
            handle.purpose,
            handle.decision,
            subjects.seal_bindings(
                handle.bindings,
                handle=handle.handle,
                issued_for=issued,
                data_key=data_key,
            ),
            handle.key_epoch,
            handle.subject,
            handle.agent,
        )

    def sealed_handles(self, agents: Sequence[str]) -> list[SealedHandle]:
        """Return the handles of *agents* that have not ended; their bindings are not opened."""
        return [SealedHandle(*row) for row in self._fetch("handles_of_agents", list(agents))]

    def open_handle(self, sealed: SealedHandle) -> Handle:
        """
        Return *sealed* with its bindings.

        Raises:
            Tampered: They do not open.
        """
        return open_handle(sealed, self._keys)

    def lease_load(self, agent: str) -> tuple[int, int]:
        """Return how many handles of *agent* have not ended, and how long their bindings are."""
        ((handles, length),) = self._fetch("lease_load", agent)
        return int(handles), int(length)

    def agents_of(self, subject: UUID, purpose: str) -> list[str]:
        """Return the agents at which *subject* is measured for *purpose*."""
        return [agent for (agent,) in self._fetch("agents_of", subject, purpose)]

    def end_handles(self, subject: UUID, purpose: str, *, agent: str | None = None) -> None:
        """End the handles of *subject* for *purpose*: all, or that at *agent*."""
        if agent is None:
            self._run("end_handles_of_purpose", subject, purpose)
        else:
            self._run("end_handle_at", subject, purpose, agent)

    def end_handles_of(self, agent: str) -> None:
        """End every handle at *agent*."""
        self._run("end_handles_of_agent", agent)

    # What is still to be done

    def unfinished(self, *, older_than: dt.timedelta, limit: int) -> list[str]:
        """Return agents, but those set aside, whose change the telemetry database has not."""
        return [agent for (agent,) in self._fetch("unfinished", older_than, limit)]

    def due(self, *, now: dt.datetime, limit: int) -> list[str]:
        """Return agents, but those set aside, whose next lease is due."""
        return [agent for (agent,) in self._fetch("due", now, limit)]

    def unpublished(self, *, without: Sequence[str] = (), limit: int) -> list[SealedLease]:
        """Return leases that the broker does not have, but those set aside and *without*."""
        return _leases(self._fetch("unpublished", list(without), limit))

    def leases_of(self, agents: Sequence[str]) -> list[SealedLease]:
        """Return the newest leases of *agents*."""
        return _leases(self._fetch("leases_of", list(agents)))

    def all_leases(self, *, after: str, limit: int) -> list[SealedLease]:
        """Return the newest leases of agents whose id is above *after*, in their order."""
        return _leases(self._fetch("all_leases", after, limit))

    def save_published(self, leases: Iterable[SealedLease]) -> None:
        """Note that the broker has *leases*."""
        rows = [(lease.version, lease.agent, lease.version) for lease in leases]
        with self._connection.cursor() as cursor:
            cursor.executemany(_SQL["save_published"], rows)

    def backlog(self) -> tuple[int, int]:
        """Return how many changes wait for the telemetry database, and leases for the broker."""
        unfinished, unpublished = self._fetch("backlog")[0]
        return int(unfinished), int(unpublished)


def _leases(rows: Iterable[Row]) -> list[SealedLease]:
    return [SealedLease(agent, version, bytes(sealed)) for agent, version, sealed in rows]
