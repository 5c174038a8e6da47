"""Reads all that the vault keeps about one person, in one transaction."""

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

import msgspec

from trust.domain.pseudonyms import Pseudonym
from trust.keys.epochs import pseudonyms_of
from trust.ports import Keys
from trust.rights.access import Told
from trust.rights.answers import answered
from trust.vault.protocols import Records


class Gathered(msgspec.Struct, frozen=True):
    """What a person is told, and the pseudonyms under which their measurements are stored."""

    told: Told
    pseudonyms: list[Pseudonym]

    def __repr__(self) -> str:
        return "Gathered(…)"


def gather(
    records: Records, subject: UUID, *, keys: Keys, controller: str, at: dt.datetime
) -> Gathered:
    """
    Return all that *records* keep about *subject*.

    Args:
        records: The repositories of one transaction.

        subject: The id of the person.

        keys: The keys of the pseudonyms.

        controller: The name under which pseudonyms are made.

        at: The time of the export, which decides what is in force.

    Raises:
        NotFound: There is no such subject.
        Tampered: A record is not as it was signed or sealed.
    """
    identity = records.subjects.personal_details(subject)
    names = records.decisions.purposes_with_handles(subject)
    recorded_at = records.decisions.recorded_at(subject)
    answers = [
        one
        for name in names
        for one in answered(records.decisions.chain(subject, name), recorded_at, at=at)
    ]
    pseudonyms = list(_pseudonyms(records, subject, names, keys=keys, controller=controller))
    references = records.decisions.references(subject)
    told = Told(
        subject,
        identity,
        records.dossiers.of(subject),
        answers,
        [records.purposes.get(name, version) for name, version in references],
        records.dossiers.reidentifications([one.value.hex() for one in pseudonyms]),
    )
    return Gathered(told, pseudonyms)


def _pseudonyms(
    records: Records, subject: UUID, purposes: list[str], *, keys: Keys, controller: str
) -> Iterator[Pseudonym]:
    for purpose in purposes:
        yield from pseudonyms_of(
            subject,
            keys=keys,
            controller=controller,
            purpose=purpose,
            epochs=records.epochs.numbers(purpose),
        )
