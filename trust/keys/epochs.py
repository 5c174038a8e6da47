"""Epochs of pseudonym keys: everything that a person is or was called for a purpose."""

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
    Yield the pseudonym of *subject* in each of *epochs*; none where the key is destroyed.

    Args:
        subject: Whose.

        keys: Where the keys are.

        controller: Who answers for the processing.

        purpose: For what.

        epochs: Of its keys.

        skip_damaged: Whether a key that is there and cannot be used is left out, too: only where
            one person's must not keep everybody waiting.

    Raises:
        KeyFileError: A key is there and cannot be used: what is stored under it would be missed.
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
