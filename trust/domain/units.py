"""
Units of the daemon's work, why a unit fails, and when the daemon tries it again. Pure.

A unit is one gateway, person, purpose, key, export or job. The daemon tries each unit alone. A
unit that fails is set aside with its cause, all other units go on, and the failed unit is tried
again after a delay that grows with the number of failures.
"""

import datetime as dt
import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.errors import RuntimeSetupError
from trust.errors import (
    BadLeaseKey,
    KeyFileError,
    LeaseTooLarge,
    Refused,
    Tampered,
    Unavailable,
    Unusable,
    Unwritable,
)

_FIRST: Final = dt.timedelta(seconds=2)
_LONGEST: Final = dt.timedelta(minutes=5)
_MOST_DOUBLINGS: Final = 12


class UnitKind(enum.StrEnum):
    """The kind of a unit, which decides how the unit is named."""

    GATEWAY = "gateway"
    """A gateway, named by its id."""
    PERSON = "person"
    """A person, named by the id of the subject and never by their name."""
    PURPOSE = "purpose"
    """A purpose, named as `home-monitoring@1` or without a version."""
    KEY = "key"
    """The root key of an epoch of pseudonyms, named as `home-monitoring/2`."""
    EXPORT = "export"
    """An export, named by its id."""
    JOB = "job"
    """A job that runs at set times, named by a word."""


class Work(enum.StrEnum):
    """The work that is not done for a unit."""

    LEASE = "lease"
    """The permissions and the lease of a gateway are behind the vault."""
    PUBLICATION = "publication"
    """A lease of a gateway is not published at the broker."""
    JOB = "job"
    """A job that runs at set times."""


class Cause(enum.StrEnum):
    """The cause of a unit's failure."""

    TAMPERED = "tampered"
    REGISTRATION = "registration"
    KEY_FILE = "key_file"
    LEASE_KEY = "lease_key"
    LEASE_TOO_LARGE = "lease_too_large"
    UNUSABLE = "unusable"
    ROW_REFUSED = "row_refused"
    BROKER_REFUSED = "broker_refused"
    CONNECTION_LOST = "connection_lost"
    FILE = "file"
    COMMAND = "command"
    SETTINGS = "settings"
    NOT_SET = "not_set"
    LIST_UNREAD = "list_unread"
    NOT_CUT = "not_cut"
    UNFORESEEN = "unforeseen"


SENTENCES: Final[Mapping[Cause, tuple[str, str]]] = MappingProxyType(
    {
        Cause.TAMPERED: (
            "a record of it does not verify with trust's keys",
            "Run `vitalveil trust audit`, and look for who changed the vault.",
        ),
        Cause.REGISTRATION: (
            "it is registered with another key or format than when it was first seen",
            "Look for who changed the vault, and restore the row of the gateway from a backup.",
        ),
        Cause.KEY_FILE: (
            "a file of it is missing, damaged, of another kind, or open to others",
            "Restore the file from its backup, owned by trust; a key with mode 0600.",
        ),
        Cause.LEASE_KEY: (
            "its lease key is not a key that anything can be sealed to",
            "Revoke the gateway with `vitalveil trust pki revoke`, and enrol it again.",
        ),
        Cause.LEASE_TOO_LARGE: (
            "its lease is larger than the broker takes",
            "Measure some of its people at another gateway, bind fewer sensors, or raise the"
            " broker's max_packet_size and lease.max_packet_bytes of trust together.",
        ),
        Cause.UNUSABLE: (
            "a record of it cannot be used by this release",
            "Install the release of trust that wrote it, or load a version of the policy that"
            " this one understands.",
        ),
        Cause.ROW_REFUSED: (
            "a database cannot read, or does not take, a row of it",
            "Look for who changed the row; restore it from a backup of the vault.",
        ),
        Cause.BROKER_REFUSED: (
            "the broker does not take its lease",
            "Read the broker's log and its ACL: `trust` must be able to write `vv1/lease/+`.",
        ),
        Cause.CONNECTION_LOST: (
            "the broker closes the connection each time its lease is published",
            "Read the broker's log, and compare its max_packet_size with lease.max_packet_bytes.",
        ),
        Cause.FILE: (
            "a file of it cannot be written or deleted",
            "Check the folder, its owner and whether it is read-only.",
        ),
        Cause.COMMAND: (
            "the command that has the broker read its revocation list fails or hangs",
            "Run certificates.reload_command by hand.",
        ),
        Cause.SETTINGS: (
            "a setting of trust, or a file that it names, cannot be used",
            "Run `vitalveil trust check-config`.",
        ),
        Cause.NOT_SET: (
            "a gateway is revoked, and trust's settings do not say how the broker learns of it",
            "Set certificates.crl_file to the file that the broker reads, and [broker].",
        ),
        Cause.LIST_UNREAD: (
            "the broker has not read its newest revocation list",
            "Have it read the list (SIGHUP), and set certificates.reload_command to what does it.",
        ),
        Cause.NOT_CUT: (
            "it is revoked, and the broker does not end its connection",
            "Compare the broker's configuration and ACL with deploy/mosquitto, and read its log.",
        ),
        Cause.UNFORESEEN: (
            "trust met an error that it does not know, and logged its type",
            "Report the log line `unforeseen` to the project.",
        ),
    }
)
"""For each cause, a sentence that says what happened and one that says what to do."""


class Unit(msgspec.Struct, frozen=True, order=True):
    """One part of the daemon's work that is tried alone."""

    kind: UnitKind
    name: str


class Failure(msgspec.Struct, frozen=True, order=True):
    """The failure of one unit, with its cause."""

    unit: Unit
    cause: Cause


class SetAside(msgspec.Struct, frozen=True):
    """The record of a unit that failed."""

    work: Work
    stands_in: str
    """What the failure blocks: the id of a gateway, or the name of a job."""
    failure: Failure
    failures: int
    failed_since: dt.datetime
    next_attempt_at: dt.datetime


def gateway(agent: str) -> Unit:
    """Return the unit of the gateway whose id is *agent*."""
    return Unit(UnitKind.GATEWAY, agent)


def job(name: str) -> Unit:
    """Return the unit of the job called *name*."""
    return Unit(UnitKind.JOB, name)


def cause_of(error: Exception) -> Cause:
    """Return the cause that belongs to *error*, which a unit raised."""
    if isinstance(error, Unavailable):
        return Cause.ROW_REFUSED
    for kind, cause in _CAUSES.items():
        if isinstance(error, kind):
            return cause
    return Cause.UNFORESEEN


_CAUSES: Final[Mapping[type[Exception], Cause]] = MappingProxyType(
    {
        Tampered: Cause.TAMPERED,
        Unwritable: Cause.FILE,
        KeyFileError: Cause.KEY_FILE,
        BadLeaseKey: Cause.LEASE_KEY,
        LeaseTooLarge: Cause.LEASE_TOO_LARGE,
        Unusable: Cause.UNUSABLE,
        RuntimeSetupError: Cause.SETTINGS,
        # A record refers to something that does not exist.
        Refused: Cause.UNUSABLE,
    }
)


def back_off(failures: int, *, jitter: float) -> dt.timedelta:
    """
    Return how long to wait after *failures* in a row: between half of a bound and the bound.

    The bound is 2 s after one failure and doubles with each further failure, up to 5 minutes.

    Args:
        failures: The number of failures in a row, at least 1.

        jitter: A random number from 0 to 1, so that units that failed together are retried apart.
    """
    bound = min(_LONGEST, _FIRST * (1 << min(failures - 1, _MOST_DOUBLINGS)))
    return bound * (0.5 + 0.5 * jitter)
