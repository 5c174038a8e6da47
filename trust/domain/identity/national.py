"""
The national health identity of France (INS), and how far it was verified.

A matricule is the number in the register of the INSEE (NIR) or of those who wait for one (NIA): 13
characters and a key of two digits. Its assigning authority is named by an OID of the list of the
Agence du numérique en santé. The four states are those of the Référentiel national
d'identitovigilance: only an identity that was retrieved from the INSi service has a matricule, and
only a qualified one may be sent to others.
"""

import enum
import re
from typing import Final

import msgspec

from trust.errors import Refused

_MATRICULE: Final = re.compile(r"[0-9]{5}(?:[0-9]{2}|2[AB])[0-9]{6}[0-9]{2}", re.ASCII)
_MODULUS: Final = 97


class IdentityStatus(enum.StrEnum):
    """How far an identity was verified."""

    PROVISIONAL = "provisional"
    """Neither retrieved from INSi nor seen on a document."""
    RETRIEVED = "retrieved"
    """Retrieved from INSi; no document was seen."""
    VALIDATED = "validated"
    """A trusted document was seen; not retrieved from INSi."""
    QUALIFIED = "qualified"
    """Retrieved from INSi, and a trusted document was seen."""

    @property
    def has_matricule(self) -> bool:
        """Whether an identity of this status has a matricule."""
        return self in (IdentityStatus.RETRIEVED, IdentityStatus.QUALIFIED)


class IdentityAuthority(enum.StrEnum):
    """The OID of the authority that assigned a matricule."""

    NIR = "1.2.250.1.213.1.4.8"
    NIA = "1.2.250.1.213.1.4.9"
    TEST_NIR = "1.2.250.1.213.1.4.10"
    TEST_NIA = "1.2.250.1.213.1.4.11"


class NationalIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The status of an identity, with its matricule if it has one. Printing shows neither."""

    status: IdentityStatus
    matricule: str | None = None
    """15 characters, with the key."""
    authority: IdentityAuthority | None = None

    def __repr__(self) -> str:
        return "NationalIdentity(…)"

    __str__ = __repr__


def national_identity(
    status: IdentityStatus, *, matricule: str | None, authority: IdentityAuthority | None
) -> NationalIdentity:
    """
    Return the identity, checked.

    Args:
        status: How far it was verified.

        matricule: 15 characters with the key; blanks are ignored. None if there is none.

        authority: Who assigned it; None for the NIR, if there is a matricule.

    Raises:
        Refused: The matricule is wrong, missing, or not allowed with the status.
    """
    if not status.has_matricule:
        if matricule is not None or authority is not None:
            raise Refused(
                f"an identity that is {status} has no matricule: only one that is retrieved or"
                " qualified was given one by INSi"
            )
        return NationalIdentity(status)
    if matricule is None:
        raise Refused(f"an identity that is {status} has a matricule: give it with --ins")
    return NationalIdentity(
        status, checked_matricule(matricule), authority or IdentityAuthority.NIR
    )


def checked_matricule(text: str) -> str:
    """
    Return the matricule of *text* without blanks.

    Raises:
        Refused: It does not have 13 characters and a key, or the key is another one.
    """
    found = "".join(text.split()).upper()
    if _MATRICULE.fullmatch(found) is None:
        raise Refused(
            "a matricule has 13 digits (2A or 2B for Corsica) and a key of two digits; give all 15"
        )
    if key_of(found[:13]) != found[13:]:
        raise Refused("the key of the matricule does not fit its digits; read it again")
    return found


def key_of(number: str) -> str:
    """Return the key of a matricule's first 13 characters: 97 less its remainder by 97."""
    digits = number.replace("2A", "19") if number[5:7] == "2A" else number
    digits = digits.replace("2B", "18") if number[5:7] == "2B" else digits
    return f"{_MODULUS - int(digits) % _MODULUS:02d}"
