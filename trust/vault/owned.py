"""
Reads rows that several people own, so that a damaged row costs its owner alone.

One statement reads the rows of everybody. Only if it fails, each person's rows are read by a
statement of their own.
"""

from collections.abc import Sequence

from trust.decisions.decisions import Decision
from trust.domain.units import Cause, UnitKind
from trust.vault.isolation import attempt_apart, attempt_within
from trust.vault.protocols import Records
from trust.vault.records.decisions import Chain
from trust.vault.records.handles import Owner, SealedHandle


def sealed_at(
    records: Records, agents: Sequence[str]
) -> tuple[list[SealedHandle], list[tuple[Owner, Cause]]]:
    """
    Return the live handles of *agents* that can be read, and the owners of all others.

    Raises:
        Unavailable: The vault does not answer, or it is not known which handles are live.
    """
    found = attempt_apart(
        records, lambda: records.handles.sealed_at(agents), kind=UnitKind.GATEWAY
    )
    if not isinstance(found, Cause):
        return found, []
    sealed: list[SealedHandle] = []
    failed: list[tuple[Owner, Cause]] = []
    for owner in records.handles.owners_at(agents):
        one = attempt_apart(
            records,
            lambda o=owner: records.handles.sealed(o.handle),  # type: ignore[misc]
            kind=UnitKind.PERSON,
        )
        if isinstance(one, Cause):
            failed.append((owner, one))
        elif one is not None:
            sealed.append(one)
    return sealed, failed


def chains_at(records: Records, agents: Sequence[str]) -> dict[Chain, list[Decision] | Cause]:
    """
    Return the verified chains that live handles of *agents* rest on, or why one has no use.

    Raises:
        Unavailable: The vault does not answer, or it is not known which handles are live.
    """
    signed = attempt_apart(
        records, lambda: records.decisions.signed_of_agents(agents), kind=UnitKind.GATEWAY
    )
    if not isinstance(signed, Cause):
        return {
            chain: attempt_within(
                lambda c=chain, s=documents: records.decisions.verified_chain(c, s),  # type: ignore[misc]
                kind=UnitKind.PERSON,
            )
            for chain, documents in signed.items()
        }
    chains = {(owner.subject, owner.purpose) for owner in records.handles.owners_at(agents)}
    return {
        chain: attempt_apart(
            records,
            lambda c=chain: records.decisions.chain(*c),  # type: ignore[misc]
            kind=UnitKind.PERSON,
        )
        for chain in sorted(chains)
    }


def restored_subjects(records: Records) -> list[int]:
    """
    Return the erasures whose subject has a data key again, or may have: they cannot be read.

    An erasure of a subject that cannot be read counts, because its data may be there; to erase
    them again fails for this subject alone, and says so.

    Raises:
        Unavailable: The vault does not answer, or it is not known which keys were destroyed.
    """
    # The database may read everybody for this, also people who were never erased.
    found = attempt_apart(records, records.erasures.restored_subjects, kind=UnitKind.JOB)
    if not isinstance(found, Cause):
        return [number for number, _ in found]
    return [
        number
        for number, subject in records.erasures.destroyed_subjects()
        if attempt_apart(
            records,
            lambda s=subject: records.subjects.is_erased(s),  # type: ignore[misc]
            kind=UnitKind.PERSON,
        )
        is not True
    ]
