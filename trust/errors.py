"""
Errors of trust.

* TrustError
    * Refused               (the request is wrong: print the error, change nothing, exit 1)
        * UsageError        (the arguments are not a command: exit 2)
        * PolicyError       (the policy file names a key and a remedy)
        * NotFound
        * Conflict
    * UnitFault             (one gateway, person, purpose or file is at fault; a command prints the
                             error and stops, the daemon sets the unit aside and continues)
        * KeyFileError      (for the operator: a file is missing, open to others, or damaged)
            * Absent        (the file is missing: lost, or destroyed on purpose)
            * Unwritable    (the file cannot be written or deleted)
        * Tampered          (a signature or a seal in the vault was not made with trust's keys)
        * BadLeaseKey       (nothing can be sealed to the lease key of a gateway)
        * LeaseTooLarge     (the broker would refuse the lease)
        * Unusable          (a record verifies, and this release cannot work with it)
    * PartlyDone            (the command failed, and leases may have changed: publish them)
        * EndedUnrecorded   (a decision took effect, and its record could not be written)
        * NotInForce        (a gateway is set aside: the change takes effect once it is repaired)
    * Residue               (erased data was found: name the place, give no certificate)
    * NotOwner              (for the operator: the role of the settings may not rewrite files)
    * HeldBack              (another session may still read erased rows: wait for it, or end it)
    * Unavailable           (the network or a server fails: recorded work is repeated later)
        * LedgerLost        (the list of erasures is not complete: no database is cleared)
        * VaultUnavailable
        * TelemetryUnavailable
        * BrokerUnavailable

No message holds a name, an address of a sensor, a handle or a pseudonym.
"""

from runtime.errors import Explained


class TrustError(Explained):
    """The base of all errors of trust: a request could not be carried out."""


class Refused(TrustError):
    """The request is wrong or not allowed; nothing was changed."""


class UsageError(Refused):
    """The arguments on the command line are not a command."""


class PolicyError(Refused):
    """
    A policy file does not describe a policy.

    Args:
        key: The key in the file, with dots between its parts.

        problem: What is wrong with the value of the key.

        remedy: What the author of the file should do.
    """

    def __init__(self, key: str, problem: str, remedy: str) -> None:
        super().__init__(f"{key}: {problem}. {remedy}")
        self.key = key


class NotFound(Refused):
    """The vault has no record of the requested kind and name."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"there is no such {what}. {remedy}")


class Conflict(Refused):
    """The request contradicts a decision or a record that is in force."""


class UnitFault(TrustError):
    """One gateway, person, purpose or file is at fault; the work for all others continues."""


class KeyFileError(UnitFault):
    """A key file, or another file that a command was given, cannot be used."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"file {name}: {problem}. {remedy}")


class Absent(KeyFileError):
    """A file does not exist: it is lost, or was destroyed on purpose."""


class Unwritable(KeyFileError):
    """A file cannot be written or deleted."""


class Tampered(UnitFault):
    """A record in the vault was not made with the keys of trust, or was changed later."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} in the vault does not verify with the keys held here; nothing was done."
            " Check that [keys] folder is that of this vault, then look for who changed it"
        )


class PartlyDone(TrustError):
    """The command failed, but leases may have changed: they are published as after a success."""


class EndedUnrecorded(PartlyDone):
    """
    A permission has ended, but the decision that ended it could not be recorded.

    Args:
        decision: The kind of the decision, as a noun for the message: `withdrawal` or another.
    """

    def __init__(self, decision: str) -> None:
        super().__init__(
            "nothing more is measured or stored of this person for this purpose, but the"
            f" {decision} could not be recorded: the decisions before it in the vault do not"
            " verify, are of a later release, or the database refuses one of them. Check that"
            " [keys] folder is that of this vault, run `vitalveil trust audit`, and give the"
            " command again once the decisions are as they were signed"
        )


class BadLeaseKey(UnitFault):
    """The lease key of a gateway is not a valid public key."""

    def __init__(self) -> None:
        super().__init__(
            "the lease key of that gateway is not a key that anything can be sealed to; revoke"
            " the gateway and enrol it again"
        )


class LeaseTooLarge(UnitFault):
    """
    A lease is larger than the largest packet that the broker accepts.

    Args:
        size_bytes: The size of the MQTT packet that would carry the lease.

        limit_bytes: The largest packet that the broker accepts.
    """

    def __init__(self, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the lease of that gateway would take {size_bytes} bytes, and the broker takes"
            f" {limit_bytes}. Measure some of its people at another gateway, bind fewer sensors,"
            " or raise max_packet_size of the broker and lease.max_packet_bytes of trust together"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class Unusable(UnitFault):
    """A record in the vault verifies, but this release cannot work with it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} in the vault cannot be used by this release. Was it written by a later"
            " release of trust? Install that one, or load a version of the policy that this one"
            " understands"
        )


class NotInForce(PartlyDone):
    """
    A recorded change does not take effect at a gateway, because the gateway is set aside.

    Args:
        reasons: One sentence for each cause, with its remedy.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(
            "what was recorded stands, and is not in force at a gateway yet:"
            f" {' '.join(reasons)} `vitalveil trust unit list` names it, and"
            " `vitalveil trust run` tries it again"
        )


class Residue(TrustError):
    """Data that was to be erased was found in a store."""

    def __init__(self, where: list[str]) -> None:
        super().__init__(
            f"still found in: {', '.join(sorted(where))}. No certificate is given; run the same"
            " `vitalveil trust erase` again, it goes on where it stopped"
        )
        self.where = where


class HeldBack(TrustError):
    """
    Deleted rows cannot leave the files of a database yet.

    Args:
        by: The sessions and settings that may still read the rows: kinds, roles and times, without
            a query or an address.
    """

    def __init__(self, by: str) -> None:
        super().__init__(
            "the rows are deleted, and cannot leave the database's files while this may still read"
            f" them: {by}. No certificate is given. End it, or wait, and run the same"
            " `vitalveil trust erase` again; it goes on where it stopped"
        )


class NotOwner(TrustError):
    """
    The role of the settings has no right to rewrite the files of a database.

    Args:
        section: The section of the settings that names the role.
    """

    def __init__(self, section: str) -> None:
        super().__init__(
            f"the role of [{section}] may not rewrite the statistics, which keep values."
            " No certificate is given. Make it the owner with `ALTER DATABASE ... OWNER TO"
            " vv_owner`, or name an administrator there, and run the same `vitalveil trust erase`"
            " again; it goes on where it stopped"
        )


class Unavailable(TrustError):
    """
    A server or a file system cannot be reached, or refuses a request.

    Args:
        cause: What happened, without a value of a row.

        is_of_a_row: Whether the server works and refuses the content of one row. Then the unit of
            that row is at fault, as with UnitFault, and other units can be tried.
    """

    what = "a server"

    def __init__(self, cause: str, *, is_of_a_row: bool = False) -> None:
        super().__init__(f"{self.what} cannot be used: {cause}")
        self.cause = cause
        self.is_of_a_row = is_of_a_row


class LedgerLost(Unavailable):
    """The ledger of erasures is not complete: some erasures are unknown."""

    what = "the ledger of erasures"

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"{cause}; put the file back that erasure.ledger_file names, as in"
            " docs/runbooks/VitalVeilErasureLedgerFile.md"
        )


class VaultUnavailable(Unavailable):
    """The vault database cannot be reached, or refuses a request."""

    what = "the vault database"


class TelemetryUnavailable(Unavailable):
    """The telemetry database cannot be reached, or refuses a request."""

    what = "the telemetry database"


class BrokerUnavailable(Unavailable):
    """The MQTT broker cannot be reached, or refuses a request."""

    what = "the broker"
