"""Bindings: which sensors, and which user of each, measure a person at a gateway."""

import re
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from trust.decisions.effective_grant import HANDLE_BYTES
from trust.decisions.leases import is_same_sensor
from trust.domain.units import Cause, UnitKind
from trust.errors import Conflict, NotFound, Refused
from trust.reconcile.reconciler import Reconciler
from trust.vault import owned
from trust.vault.isolation import attempt_within
from trust.vault.protocols import Records
from trust.vault.records.agents import Agent
from trust.vault.records.handles import Handle
from wire.lease import MAX_USER, Binding

MAX_BINDINGS: Final = 16
_ADDRESS: Final = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}", re.ASCII)


def parse(text: str, *, user: int | None = None) -> str:
    """
    Return the binding of a sensor as it is written in a lease.

    Args:
        text: The address, or the address with a user as C0:FF:EE:00:00:01#2.

        user: The index of the person among the users of the sensor, if *text* names none.

    Raises:
        Refused: It is no address, or no user.
    """
    binding = Binding.parse(text)
    address = binding.address.upper()
    if _ADDRESS.fullmatch(address) is None:
        raise Refused(
            "a --binding is not a sensor's address; write it as C0:FF:EE:00:00:01, or as"
            " C0:FF:EE:00:00:01#2 for user 2 of it"
        )
    if user is not None and binding.user is not None:
        raise Refused("give the user of a sensor once: with --user, or after the # of its address")
    if user is not None and not 0 <= user <= MAX_USER:
        raise Refused(f"--user is from 0 to {MAX_USER}, as the sensor numbers its users")
    return str(Binding(address, binding.user if user is None else user))


def check_agent(records: Records, touched: list[str], agent: str) -> Agent:
    """
    Lock all agents in *touched*, always in the same order; return *agent* if it is usable.

    Raises:
        NotFound: There is no such agent.
        Conflict: The agent is revoked.
    """
    found = {known.agent: known for known in records.agents.lock(touched)}
    if agent not in found:
        raise NotFound("agent", "Enrol one with `vitalveil trust agent enrol`.")
    if found[agent].revoked_at is not None:
        raise Conflict("that agent is revoked. Enrol a new one")
    return found[agent]


def readable(records: Records, agent: str) -> list[Handle]:
    """
    Return the live handles of *agent*, without those whose bindings do not open.

    A handle that does not open is in no lease. If it becomes readable again, compiling the lease
    checks it again: a sensor that is bound to two people is left out for both.
    """
    opened = [
        attempt_within(lambda s=sealed: records.handles.open(s), kind=UnitKind.PERSON)  # type: ignore[misc]
        for sealed in owned.sealed_at(records, [agent])[0]
    ]
    return [handle for handle in opened if not isinstance(handle, Cause)]


def check(handles: Iterable[Handle], subject: UUID, bindings: list[str]) -> None:
    """
    Check that no sensor is bound to two people: the agent could not tell them apart.

    Raises:
        Conflict: A sensor is bound to another person, and its users are not told apart.
    """
    taken = {b for handle in handles if handle.subject != subject for b in handle.bindings}
    if any(is_same_sensor(one, other) for one in bindings for other in taken):
        raise Conflict(
            "a --binding is in use at that agent, by another person. Unbind it there, or, if it"
            " tells its users apart, bind each person with the --user that it knows them by"
        )


class Issuer:
    """
    Issues handles: one for each sensor of a person, for each purpose.

    Args:
        reconciler: Checks that the gateway can measure under a handle.

        random_bytes: Returns the given number of random bytes.
    """

    def __init__(self, reconciler: Reconciler, random_bytes: Callable[[int], bytes]) -> None:
        self._reconciler = reconciler
        self._random_bytes = random_bytes

    def issue(
        self,
        records: Records,
        agent: Agent,
        decision: tuple[UUID, str, UUID],
        bindings: list[str],
        *,
        data_key: bytes,
    ) -> list[Handle]:
        """
        Add a handle at *agent* for each of *bindings*, and return them in that order.

        Args:
            records: The records of the vault, in a transaction that holds the agent's lock.

            agent: The gateway.

            decision: The person, the purpose, and the accepted decision in force.

            bindings: The sensors.

            data_key: The data key of the person.

        Raises:
            Conflict: The person has too many sensors.
        """
        subject, purpose, accepted = decision
        here = [
            handle
            for handle in readable(records, agent.agent)
            if (handle.subject, handle.purpose) == (subject, purpose) and handle.bindings
        ]
        if len(here) + len(bindings) > MAX_BINDINGS:
            raise Conflict(
                f"a person has at most {MAX_BINDINGS} sensors at a gateway for one purpose. Unbind"
                " one with `vitalveil trust sensor unbind`"
            )
        epoch = records.epochs.current(purpose)
        issued = []
        for binding in bindings:
            handle = Handle(
                *(self._random_bytes(HANDLE_BYTES), subject, agent.agent, purpose, accepted),
                [binding],
                epoch,
            )
            records.handles.add(handle, data_key=data_key)
            self._reconciler.check_handle(records, agent, handle)
            issued.append(handle)
        return issued
