"""Why the agent ignores a receipt. Pure."""

import enum

from wire.errors import BadProof, Unproven, UnsupportedVersion, WireError


class ReceiptFault(enum.StrEnum):
    """Why a receipt is ignored. A closed set: a metric label and a log field."""

    OLD_FORM = "old_form"
    """It carries no proof: from an ingest before version 0.2, or retained at the broker by one."""
    BAD_PROOF = "bad_proof"
    """Not made by ingest for this agent, or the agent holds an old key of ingest."""
    UNSUPPORTED_VERSION = "unsupported_version"
    MALFORMED = "malformed"


def fault_of(error: WireError) -> ReceiptFault:
    """Return the fault of a receipt whose decoding raised *error*."""
    match error:
        case BadProof():
            return ReceiptFault.BAD_PROOF
        case Unproven():
            return ReceiptFault.OLD_FORM
        case UnsupportedVersion():
            return ReceiptFault.UNSUPPORTED_VERSION
        case _:
            return ReceiptFault.MALFORMED
