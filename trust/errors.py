"""
Errors of trust.

* TrustError
    * Refused               (the caller's: say it, change nothing, exit 1)
        * UsageError        (not a command: exit 2)
        * PolicyError       (the policy file names a key and a remedy)
        * NotFound
        * Conflict
    * UnitFault             (one unit's: a gateway's, person's, purpose's or file's; a command
                             says it and stops, the daemon sets the unit aside and goes on)
        * KeyFileError      (the operator's: a file is missing, open to others, or damaged)
            * Absent        (it is not there: lost, or destroyed on purpose)
            * Unwritable    (it cannot be written or deleted)
        * Tampered          (somebody's: a signature or a seal in the vault is not ours)
        * BadLeaseKey       (nothing can be sealed to it)
        * LeaseTooLarge     (the broker would refuse it)
        * Unusable          (a record is ours, and this release cannot work with it)
    * EndedUnrecorded       (somebody's: the effect of a withdrawal stands, the record does not)
    * NotInForce            (a unit's that is set aside: what was recorded follows once it is well)
    * Residue               (ours: something erased is still found; say where, do not certify)
    * NotOwner              (the operator's: the role of the settings may not rewrite files)
    * HeldBack              (another session's: it may still read what was erased; wait or end it)
    * Unavailable           (the network's or a server's: what is recorded is repeated later)
        * LedgerLost      (nothing is cleared on a list of erasures that is not complete)
        * VaultUnavailable
        * TelemetryUnavailable
        * BrokerUnavailable

No message holds a name, an address of a sensor, a handle or a pseudonym.
"""


class TrustError(Exception):
    """Trust cannot do what it was asked."""


class Refused(TrustError):
    """What was asked for is wrong, or not allowed; nothing was changed."""


class UsageError(Refused):
    """The arguments are no command."""


class PolicyError(Refused):
    """
    A policy file is not a policy.

    Args:
        key: The key in the file, dotted.

        problem: What is wrong with it.

        remedy: What to do.
    """

    def __init__(self, key: str, problem: str, remedy: str) -> None:
        super().__init__(f"{key}: {problem}. {remedy}")
        self.key = key


class NotFound(Refused):
    """There is no such thing in the vault."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"there is no such {what}. {remedy}")


class Conflict(Refused):
    """It contradicts what is in force."""


class UnitFault(TrustError):
    """One gateway, person, purpose or file is at fault: the work for all others goes on."""


class KeyFileError(UnitFault):
    """A file of keys, or another that a command was given, cannot be used."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"file {name}: {problem}. {remedy}")


class Absent(KeyFileError):
    """There is no such file."""


class Unwritable(KeyFileError):
    """A file cannot be written or deleted."""


class Tampered(UnitFault):
    """Something in the vault was not written with our keys, or was changed since."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} in the vault does not verify with the keys held here; nothing was done."
            " Check that [keys] folder is that of this vault, then look for who changed it"
        )


class EndedUnrecorded(TrustError):
    """
    What a person permitted has ended, and the decision that ended it could not be recorded.

    Args:
        decision: What could not be recorded: a withdrawal, a restriction or another decision.
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
    """The key that a gateway's leases are sealed to is not one."""

    def __init__(self) -> None:
        super().__init__(
            "the lease key of that gateway is not a key that anything can be sealed to; revoke"
            " the gateway and enrol it again"
        )


class LeaseTooLarge(UnitFault):
    """
    A lease is larger than the broker takes.

    Args:
        size_bytes: Of the MQTT packet that would carry it.

        limit_bytes: The largest packet that the broker takes.
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
    """Something in the vault verifies, and this release cannot work with it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} in the vault cannot be used by this release. Was it written by a later"
            " release of trust? Install that one, or load a version of the policy that this one"
            " understands"
        )


class NotInForce(TrustError):
    """
    What was recorded does not take effect at a gateway, which is set aside.

    Args:
        reasons: A sentence for each cause, and what to do.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(
            "what was recorded stands, and is not in force at a gateway yet:"
            f" {' '.join(reasons)} `vitalveil trust unit list` names it, and"
            " `vitalveil trust run` tries it again"
        )


class Residue(TrustError):
    """Something that was to be erased is still there."""

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
        by: What may still read them: kinds, roles and times, no query and no address.
    """

    def __init__(self, by: str) -> None:
        super().__init__(
            "the rows are deleted, and cannot leave the database's files while this may still read"
            f" them: {by}. No certificate is given. End it, or wait, and run the same"
            " `vitalveil trust erase` again; it goes on where it stopped"
        )


class NotOwner(TrustError):
    """
    The role that is to rewrite files may not.

    Args:
        section: Of the settings that name it.
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
    Something outside cannot be reached, or refuses.

    Args:
        cause: What happened, without a value.

        is_of_a_row: Whether the server works and refuses what one row holds: then the unit that
            the row is of is at fault, as with UnitFault, and to try others makes sense.
    """

    what = "a server"

    def __init__(self, cause: str, *, is_of_a_row: bool = False) -> None:
        super().__init__(f"{self.what} did not do its part ({cause})")
        self.cause = cause
        self.is_of_a_row = is_of_a_row


class LedgerLost(Unavailable):
    """What says who was erased is not complete."""

    what = "the ledger of erasures"

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"{cause}; put the file back that erasure.ledger_file names, as in"
            " docs/runbooks/VitalVeilErasureLedgerFile.md"
        )


class VaultUnavailable(Unavailable):
    """The vault database."""

    what = "the vault database"


class TelemetryUnavailable(Unavailable):
    """The telemetry database."""

    what = "the telemetry database"


class BrokerUnavailable(Unavailable):
    """The MQTT broker."""

    what = "the broker"
