"""Why a receipt makes the agent forget nothing. Pure."""

import enum

from wire.errors import BadProof, Unproven, UnsupportedVersion, WireError


class ReceiptFault(enum.StrEnum):
    """A closed set: it is a metric label and a log field."""

    OLD_FORM = "old_form"
    """It proves nothing: of an ingest before version 0.2, or left at the broker by one."""
    BAD_PROOF = "bad_proof"
    """Not made by ingest for this agent, or ingest's key was exchanged and ours was not."""
    UNSUPPORTED_VERSION = "unsupported_version"
    MALFORMED = "malformed"


def fault_of(error: WireError) -> ReceiptFault:
    """Return why a receipt is refused that could not be read for *error*."""
    match error:
        case BadProof():
            return ReceiptFault.BAD_PROOF
        case Unproven():
            return ReceiptFault.OLD_FORM
        case UnsupportedVersion():
            return ReceiptFault.UNSUPPORTED_VERSION
        case _:
            return ReceiptFault.MALFORMED
