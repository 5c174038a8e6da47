"""Settings of trust."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from runtime.settings import BrokerSettings, HttpSettings, LogSettings, Port, Seconds


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a database is, as the role `vv_trust`."""

    dsn: str
    """Without a password."""
    password_file: Path | None = None


class KeysSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the keys are: not where the vault's backups go."""

    folder: Path


class LeaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an agent may measure without hearing of us."""

    ttl_s: Annotated[float, Meta(ge=1, le=30 * 86400)] = 86400.0
    refresh_at: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """The fraction of its life after which a lease is renewed."""
    keep_days: Annotated[int, Meta(ge=1, le=4000)] = 60
    """How long ingest knows a lease that has ended: more than its `clock.max_age_days`."""
    max_packet_bytes: Annotated[int, Meta(ge=4096, le=268_435_455)] = 131_072
    """The broker's max_packet_size: a lease that takes more is not issued."""


class CertificateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long certificates last, and where the broker reads the revocation list."""

    agent_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    service_days: Annotated[int, Meta(ge=1, le=3650)] = 825
    ca_days: Annotated[int, Meta(ge=1, le=7300)] = 3650
    crl_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    crl_file: Path | None = None
    reload_command: list[str] = []
    """Run, without a shell, when a new list was written: has the broker read it."""
    reload_timeout_s: Seconds = 20.0


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where gateways enrol, over HTTPS."""

    certificate_file: Path
    key_file: Path
    ca_file: Path
    """Who signs the certificates that gateways renew with."""
    ingest_key_file: Path
    """ingest.pub: what they seal to."""
    host: str = "127.0.0.1"
    port: Port = 8443
    burst: Annotated[int, Meta(ge=1, le=1000)] = 10
    """How many attempts of one address may come at once."""
    per_minute: Annotated[float, Meta(gt=0, le=1000)] = 6.0
    http: HttpSettings = HttpSettings()


class ConsentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides at which age, in years. The defaults are those of France; ask your DPO."""

    alone_from: Annotated[int, Meta(ge=13, le=18)] = 15
    """Below it a minor decides together with a guardian."""
    joint_from: Annotated[int, Meta(ge=0, le=18)] = 7
    """Below it a guardian decides alone: a small child cannot be asked."""
    majority: Annotated[int, Meta(ge=16, le=21)] = 18


class RepairSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the daemon finishes what a command began."""

    after_s: Seconds = 2.0
    """A command finishes its own work within this; later it is taken for dead."""


class ErasureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What it takes to erase: the owners of both databases, and how long backups live.

    An owner is `vv_owner` or an administrator: only an owner may have the files of a table
    written anew, and the statistics that keep values of it.
    """

    telemetry: DatabaseSettings
    vault: DatabaseSettings
    ledger_file: Path | None = None
    """The ledger's copy, where no backup of a database goes back in time with it."""
    wal_days: Annotated[int, Meta(ge=0, le=3650)] = 7
    """After which the write-ahead log, archives and replicas keep nothing of before."""
    backup_days: Annotated[int, Meta(ge=0, le=3650)] = 35
    """After which no backup of before is kept."""
    snapshot_wait_s: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    """How long a rewrite waits for transactions that may still read what was erased."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    vault: DatabaseSettings
    telemetry: DatabaseSettings
    keys: KeysSettings
    controller: Annotated[str, Meta(min_length=1, max_length=200)]
    """Who answers for the processing. Never change it: pseudonyms hang on it."""
    broker: BrokerSettings | None = None
    lease: LeaseSettings = LeaseSettings()
    certificates: CertificateSettings = CertificateSettings()
    serve: ServeSettings | None = None
    consent: ConsentSettings = ConsentSettings()
    repair: RepairSettings = RepairSettings()
    erasure: ErasureSettings | None = None
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
