"""
Sensors: bound to a person at a gateway, exchanged and unbound, without a new decision.

A decision says what may be measured for which purpose; a binding says with what. So a binding adds
nothing to what a person agreed to, and each sensor gets a handle of its own for each purpose.

The handle of a sensor that is unbound stays in the lease without a binding: what the sensor
measured before is still sent and stored, and what it measures from then on is refused everywhere.
"""

import datetime as dt
import secrets
from collections.abc import Callable
from uuid import UUID

import msgspec

from trust.consent import bindings
from trust.consent.bindings import Issuer
from trust.decisions.decisions import State, state
from trust.domain.durations import whole_ms
from trust.domain.units import Cause, UnitKind
from trust.errors import Conflict, NotFound
from trust.ports import Clock
from trust.reconcile.reconciled import Reconciled
from trust.reconcile.reconciler import Reconciler
from trust.vault import owned
from trust.vault.isolation import attempt_within
from trust.vault.protocols import Records, Vault
from trust.vault.records.agents import Agent
from trust.vault.records.handles import Handle, SealedHandle
from wire.lease import Binding


class ChangedSensors(msgspec.Struct, frozen=True):
    """The handles that began and ended when sensors were bound or unbound."""

    subject: UUID
    done: Reconciled
    begun: list[Handle] = []
    ended: list[Handle] = []

    def __repr__(self) -> str:
        return "ChangedSensors(…)"


class BoundSensor(msgspec.Struct, frozen=True):
    """A sensor of a person at a gateway, for one purpose."""

    agent: str
    subject: UUID
    purpose: str
    sensor: Binding | None
    """None if the record does not open."""
    bound_at: dt.datetime | None
    unbound_at: dt.datetime | None

    def __repr__(self) -> str:
        return "BoundSensor(…)"


class Sensors:
    """
    Binds and unbinds sensors.

    Args:
        vault: The vault that keeps the bindings.

        reconciler: Brings permissions and leases up to date with them.

        clock: Tells the time.

        random_bytes: Returns the given number of random bytes.
    """

    def __init__(
        self,
        vault: Vault,
        reconciler: Reconciler,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._vault = vault
        self._reconciler = reconciler
        self._clock = clock
        self._issuer = Issuer(reconciler, random_bytes)

    def bind(
        self, subject: UUID, agent: str, sensor: str, *, purposes: list[str]
    ) -> ChangedSensors:
        """
        Bind *sensor* to *subject* at *agent*.

        Args:
            subject: The person.

            agent: The gateway.

            sensor: The sensor, as `bindings.parse` returns it.

            purposes: What it measures for; empty for every purpose that the person accepted.

        Raises:
            Refused: It cannot be bound; nothing was changed.
            Unavailable: It may be bound, and then takes effect later.
        """
        with self._vault.transaction() as records:
            data_key = records.subjects.hold(subject)
            accepted = self._accepted(records, subject, purposes)
            known = bindings.check_agent(records, [agent], agent)
            here = bindings.readable(records, agent)
            has = {h.purpose for h in here if h.subject == subject and sensor in h.bindings}
            new = {name: decision for name, decision in accepted.items() if name not in has}
            if not new:
                raise Conflict("that sensor is bound to that subject for each of these purposes")
            bindings.check(here, subject, [sensor])
            begun = self._issue(records, known, subject, new, sensor, data_key=data_key)
            records.leases.mark_stale([agent])
        return ChangedSensors(subject, self._reconciler.reconcile([agent]).check(agent), begun)

    def replace(self, agent: str, old: str, new: str) -> ChangedSensors:
        """
        Bind the sensor *new* at *agent* in place of *old*: for the same person and purposes.

        Raises:
            Refused: It cannot be exchanged; nothing was changed.
            Unavailable: It may be exchanged, and then takes effect later.
        """
        if old == new:
            raise Conflict("a sensor is not replaced by itself")
        with self._vault.transaction() as records:
            # Without the agent's lock, which is the last to be taken: the rest depends on whose
            # sensor it is.
            subject = _only_subject(_bound(records, agent, old))
            data_key = records.subjects.hold(subject)
            names = sorted({handle.purpose for handle in _bound(records, agent, old)})
            accepted = self._accepted(records, subject, names)
            known = bindings.check_agent(records, [agent], agent)
            ended = [h for h in _bound(records, agent, old) if h.purpose in accepted]
            if _only_subject(ended) != subject:
                raise Conflict("that sensor was bound to another person meanwhile")
            self._unbind(records, known, ended, old, data_key=data_key)
            here = bindings.readable(records, agent)
            bindings.check(here, subject, [new])
            has = {h.purpose for h in here if h.subject == subject and new in h.bindings}
            wanted = {h.purpose: accepted[h.purpose] for h in ended if h.purpose not in has}
            begun = self._issue(records, known, subject, wanted, new, data_key=data_key)
            records.leases.mark_stale([agent])
        done = self._reconciler.reconcile([agent]).check(agent)
        return ChangedSensors(subject, done, begun, ended)

    def unbind(self, agent: str, sensor: str) -> ChangedSensors:
        """
        Unbind *sensor* at *agent*: nothing that it measures from now on is stored.

        Raises:
            Refused: It is not bound there; nothing was changed.
            Unavailable: It may be unbound, and then takes effect later.
        """
        with self._vault.transaction() as records:
            known = records.agents.lock([agent])
            ended = _bound(records, agent, sensor)
            subject = _only_subject(ended)
            data_key = records.subjects.data_key(subject)
            self._unbind(records, known[0], ended, sensor, data_key=data_key)
            records.leases.mark_stale([agent])
        done = self._reconciler.reconcile([agent]).check(agent)
        return ChangedSensors(subject, done, [], ended)

    def bound(self, *, subject: UUID | None, agent: str | None) -> list[BoundSensor]:
        """
        Return the sensors of *subject*, of *agent*, or of the subject at the agent.

        Sensors that were unbound are listed as long as what they measured may still be sent.
        """
        with self._vault.transaction() as records:
            if subject is not None:
                records.subjects.data_key(subject)
            of = [] if subject is None else records.handles.of(subject, None)
            agents = sorted({at for _, at, _, _ in of}) if agent is None else [agent]
            return [
                one
                for sealed in owned.sealed_at(records, agents)[0]
                if subject in (None, sealed.subject)
                for one in _listed(records, sealed)
            ]

    def _accepted(self, records: Records, subject: UUID, purposes: list[str]) -> dict[str, UUID]:
        """
        Lock the decisions of *subject*; return by purpose those that accept.

        Raises:
            Conflict: Nothing is accepted, or not each of *purposes*.
        """
        now = self._clock()
        names = sorted(set(purposes)) or records.decisions.purposes_of(subject)
        found: dict[str, UUID] = {}
        for name in names:
            records.purposes.share(name)
            records.decisions.lock_chain(subject, name)
            chain = records.decisions.chain(subject, name)
            if state(chain, at=now) is State.ACCEPTED:
                found[name] = chain[-1].decision
        if not found or (purposes and len(found) < len(names)):
            raise Conflict(
                "that subject has no accepted decision for that purpose. A sensor measures only"
                " what a person agreed to: record it with `vitalveil trust decision record`"
            )
        return found

    def _issue(
        self,
        records: Records,
        agent: Agent,
        subject: UUID,
        accepted: dict[str, UUID],
        sensor: str,
        *,
        data_key: bytes,
    ) -> list[Handle]:
        return [
            handle
            for name, decision in accepted.items()
            for handle in self._issuer.issue(
                records, agent, (subject, name, decision), [sensor], data_key=data_key
            )
        ]

    def _unbind(
        self, records: Records, agent: Agent, ended: list[Handle], sensor: str, *, data_key: bytes
    ) -> None:
        at = whole_ms(self._clock())
        for handle in ended:
            records.handles.unbind(handle, at=at, data_key=data_key)
            # A handle from before each sensor had one of its own: the others continue.
            others = [binding for binding in handle.bindings if binding != sensor]
            issued_for = handle.subject, handle.purpose, handle.decision
            self._issuer.issue(records, agent, issued_for, others, data_key=data_key)


def _bound(records: Records, agent: str, sensor: str) -> list[Handle]:
    return [h for h in bindings.readable(records, agent) if sensor in h.bindings]


def _only_subject(handles: list[Handle]) -> UUID:
    subjects = {handle.subject for handle in handles}
    if not subjects:
        raise NotFound(
            "sensor bound at that agent",
            "List what is bound with `vitalveil trust sensor list --agent AGENT`; a user is a part"
            " of the binding.",
        )
    if len(subjects) > 1:
        raise Conflict("that sensor is bound to two people, and measures neither of them")
    return subjects.pop()


def _listed(records: Records, sealed: SealedHandle) -> list[BoundSensor]:
    opened = attempt_within(lambda: records.handles.open(sealed), kind=UnitKind.PERSON)
    sensors: list[Binding | None] = [None]
    if not isinstance(opened, Cause):
        sensors = [Binding.parse(text) for text in opened.bindings or opened.unbound]
    return [
        BoundSensor(
            *(sealed.agent, sealed.subject, sealed.purpose, sensor),
            *(sealed.issued_at, sealed.unbound_at),
        )
        for sensor in sensors
    ]
