"""
Units of the daemon's work, what keeps one from being done, and when it is tried again. Pure.

A unit is one gateway, person, purpose, key, export or job. Each is tried alone: one that fails is
set aside with its cause, everything else goes on, and it is tried again, the later the more often
it failed.
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
    """What a unit is; its name is in the terms of this."""

    GATEWAY = "gateway"
    """Named by its id."""
    PERSON = "person"
    """Named by the id of the subject, never by a name."""
    PURPOSE = "purpose"
    """Named as `home-monitoring@1`, or without a version."""
    KEY = "key"
    """The root key of an epoch of pseudonyms: named by both, as `home-monitoring/2`."""
    EXPORT = "export"
    """Named by the id of the export."""
    JOB = "job"
    """What is done by the clock: named by a word."""


class Work(enum.StrEnum):
    """What is not done for the unit."""

    LEASE = "lease"
    """Permissions and lease of a gateway do not follow the vault."""
    PUBLICATION = "publication"
    """A lease does not reach the broker."""
    JOB = "job"
    """A job of the clock."""


class Cause(enum.StrEnum):
    """Why a unit cannot be worked on."""

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
            "the broker closes the connection whenever its lease is published",
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
"""What each cause means, and what to do."""


class Unit(msgspec.Struct, frozen=True, order=True):
    """One of the things that are worked on alone."""

    kind: UnitKind
    name: str


class Failure(msgspec.Struct, frozen=True, order=True):
    """That a unit could not be worked on, and why."""

    unit: Unit
    cause: Cause


class SetAside(msgspec.Struct, frozen=True):
    """A unit that failed, as it is kept."""

    work: Work
    stands_in: str
    """What it stands in the way of: the id of a gateway, or the name of a job."""
    failure: Failure
    failures: int
    failed_since: dt.datetime
    next_attempt_at: dt.datetime


def gateway(agent: str) -> Unit:
    """Return the unit that a gateway is."""
    return Unit(UnitKind.GATEWAY, agent)


def job(name: str) -> Unit:
    """Return the unit that a job of the clock is."""
    return Unit(UnitKind.JOB, name)


def cause_of(error: Exception) -> Cause:
    """Return why a unit that raised *error* cannot be worked on."""
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
        # What a record refers to is not there.
        Refused: Cause.UNUSABLE,
    }
)


def back_off(failures: int, *, jitter: float) -> dt.timedelta:
    """
    Return how long to wait after so many *failures* in a row: half to all of a bound.

    The bound is 2 s, then twice the one before, up to 5 minutes.

    Args:
        failures: At least 1.

        jitter: From 0 to 1: units that failed together are not tried together.
    """
    bound = min(_LONGEST, _FIRST * (1 << min(failures - 1, _MOST_DOUBLINGS)))
    return bound * (0.5 + 0.5 * jitter)
