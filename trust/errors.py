"""
Errors of trust.

* TrustError
    * Refused               (the caller's: say it, change nothing, exit 1)
        * UsageError        (not a command: exit 2)
        * PolicyError       (the policy file names a key and a mend)
        * NotFound
        * Conflict
    * KeyFileError          (the operator's: a file is missing, open to others, or damaged)
    * Tampered              (somebody's: a signature or a seal in the vault is not ours; stop)
    * Residue               (ours: something erased is still found; say where, do not certify)
    * Unavailable           (the network's or a server's: what is recorded is repeated later)
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

        mend: What to do.
    """

    def __init__(self, key: str, problem: str, mend: str) -> None:
        super().__init__(f"{key}: {problem}. {mend}")
        self.key = key


class NotFound(Refused):
    """There is no such thing in the vault."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"there is no such {what}. {mend}")


class Conflict(Refused):
    """It contradicts what is in force."""


class KeyFileError(TrustError):
    """A file of keys, or another that a command was given, cannot be used."""

    def __init__(self, name: str, problem: str, mend: str) -> None:
        super().__init__(f"file {name}: {problem}. {mend}")


class Tampered(TrustError):
    """Something in the vault was not written with our keys, or was changed since."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} in the vault does not verify with the keys held here; nothing was done."
            " Check that [keys] folder is that of this vault, then look for who changed it"
        )


class Residue(TrustError):
    """Something that was to be erased is still there."""

    def __init__(self, where: list[str]) -> None:
        super().__init__(
            f"still found in: {', '.join(sorted(where))}. No certificate is given; run the same"
            " `vitalveil trust erase` again, it goes on where it stopped"
        )
        self.where = where


class Unavailable(TrustError):
    """Something outside cannot be reached, or refuses."""

    what = "a server"

    def __init__(self, cause: str) -> None:
        super().__init__(f"{self.what} did not do its part ({cause})")


class VaultUnavailable(Unavailable):
    """The vault database."""

    what = "the vault database"


class TelemetryUnavailable(Unavailable):
    """The telemetry database."""

    what = "the telemetry database"


class BrokerUnavailable(Unavailable):
    """The MQTT broker."""

    what = "the broker"
