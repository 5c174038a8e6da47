"""Versions of purposes, and how they came into force."""

import datetime as dt
from typing import Final, Protocol

from trust.domain import canonical
from trust.domain.approval import ADMISSION_KIND, Admission, PolicyApproval
from trust.domain.purposes import Purpose
from trust.domain.reidentify import Signed
from trust.errors import Tampered
from trust.ports import Keys

_KIND: Final = "purpose"


def sign_purpose(purpose: Purpose, keys: Keys) -> Signed:
    """Return the signed record of *purpose*, as the vault keeps it."""
    document = canonical.encode(purpose)
    return Signed(document, keys.sign(canonical.to_sign(_KIND, document)))


def verified_purpose(signed: Signed, name: str, version: int, keys: Keys) -> Purpose:
    """
    Return the purpose that was signed as *version* of *name*.

    Raises:
        Tampered: The document is not as it was signed, or is another purpose or version.
    """
    what = "a policy"
    keys.verify(signed.signature, canonical.to_sign(_KIND, signed.document), what=what)
    found = canonical.decode(signed.document, Purpose, what=what)
    # A valid signature is not sufficient: a finer policy could be copied into this row.
    if (found.name, found.version) != (name, version):
        raise Tampered(what)
    return found


def sign_admission(admission: Admission, keys: Keys) -> Signed:
    """Return the signed record of *admission*, as the vault keeps it."""
    document = canonical.encode(admission)
    return Signed(document, keys.sign(canonical.to_sign(ADMISSION_KIND, document)))


def verified_admission(signed: Signed, purpose: str, version: int, keys: Keys) -> Admission:
    """
    Return the admission that was signed for *version* of *purpose*.

    Raises:
        Tampered: The document is not as it was signed, or is of another purpose or version.
    """
    what = "the admission of a policy"
    keys.verify(signed.signature, canonical.to_sign(ADMISSION_KIND, signed.document), what=what)
    found = canonical.decode(signed.document, Admission, what=what)
    if (found.purpose, found.version) != (purpose, version):
        raise Tampered(what)
    return found


class Purposes(Protocol):
    """Repository of the signed versions of purposes. A version never changes."""

    def add(self, purpose: Purpose) -> bool:
        """Sign and add *purpose*; return False if this version exists already."""
        ...

    def share(self, purpose: str) -> None:
        """Keep other transactions from rotating the key of *purpose* until this one ends."""
        ...

    def lock(self, purpose: str) -> None:
        """Keep other transactions from issuing handles for *purpose* or rotating its key."""
        ...

    def versions(self, purpose: str) -> list[int]:
        """Return the versions of *purpose*, the newest one first."""
        ...

    def get(self, name: str, version: int) -> Purpose:
        """
        Return a version of a purpose.

        Raises:
            NotFound: There is no such version.
            Tampered: The version is not as it was signed.
        """
        ...

    def loaded_at(self, name: str, version: int) -> dt.datetime:
        """Return when a version of a purpose was loaded; it must exist."""
        ...

    def references(self) -> list[tuple[str, int]]:
        """Return name and version of every version of every purpose."""
        ...

    def all(self) -> list[Purpose]:
        """Return every version of every purpose."""
        ...

    def names(self) -> list[str]:
        """Return the name of every purpose."""
        ...

    def signed(self, name: str, version: int) -> Signed:
        """
        Return a version of a purpose as it was signed, without verifying the signature.

        Raises:
            NotFound: There is no such version.
        """
        ...


class Admissions(Protocol):
    """Repository of approvals and admissions: how versions of purposes came into force."""

    def is_fresh(self) -> bool:
        """Tell whether this vault never had a person or an officer."""
        ...

    def decided_on(self, purpose: str) -> list[int]:
        """Return the versions of *purpose* that there is a decision on."""
        ...

    def add_approval(self, approval: PolicyApproval, signed: Signed) -> None:
        """Add an approval, as its approver signed it."""
        ...

    def approvals(self, purpose: str, version: int) -> list[Signed]:
        """Return the approvals of a version, in the order they were given."""
        ...

    def admit(self, admission: Admission) -> None:
        """Sign and record how a version came into force."""
        ...

    def get(self, purpose: str, version: int) -> Admission | None:
        """
        Return how a version came into force; None if that is not recorded.

        Raises:
            Tampered: The admission is not as it was signed.
        """
        ...

    def all(self) -> list[tuple[str, int]]:
        """Return name and version of every version whose admission is recorded."""
        ...
