"""Epochs of pseudonym keys: all present and past pseudonyms of a person for a purpose."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from trust.domain.pseudonyms import Pseudonym, pseudonymise
from trust.errors import Absent, KeyFileError
from trust.ports import Keys


def pseudonyms_of(
    subject: UUID,
    *,
    keys: Keys,
    controller: str,
    purpose: str,
    epochs: Iterable[int],
    skip_damaged: bool = False,
) -> Iterator[Pseudonym]:
    """
    Yield the pseudonym of *subject* in each of *epochs* whose key is not destroyed.

    Args:
        subject: The id of the subject.

        keys: The backend that keeps the keys.

        controller: The name of the controller (GDPR art. 4(7)).

        purpose: The name of the purpose, without a version.

        epochs: The numbers of the key epochs.

        skip_damaged: Whether to leave out keys that exist and cannot be used. Only for callers
            where the key of one person must not delay all other people.

    Raises:
        KeyFileError: A key exists and cannot be used, so data stored under it would be missed.
    """
    for epoch in epochs:
        try:
            key = keys.pseudonym_key(purpose=purpose, epoch=epoch)
        except Absent:
            continue
        except KeyFileError:
            if skip_damaged:
                continue
            raise
        yield pseudonymise(subject, key=key, controller=controller, purpose=purpose, epoch=epoch)
