"""Epochs of pseudonym keys: everything that a person is or was called for a purpose."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from trust.errors import KeyFileError
from trust.ports import Keys
from trust.pseudonyms import Pseudonym, pseudonymise


def pseudonyms_of(
    subject: UUID, *, keys: Keys, controller: str, purpose: str, epochs: Iterable[int]
) -> Iterator[Pseudonym]:
    """Yield the pseudonym of *subject* in each of *epochs*; none where the key is destroyed."""
    for epoch in epochs:
        try:
            key = keys.pseudonym_key(purpose=purpose, epoch=epoch)
        except KeyFileError:
            continue
        yield pseudonymise(subject, key=key, controller=controller, purpose=purpose, epoch=epoch)
