"""Settings of trust, as read from its TOML file."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from runtime.settings import BrokerSettings, HttpSettings, LogSettings, Port, Seconds

_YEARS = {"unit": "years"}


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of a database, for the role `vv_trust` unless the section says otherwise."""

    dsn: str
    """The connection string, without a password, as `host=db dbname=vault user=vv_trust`."""
    password_file: Path | None = None
    """The file with the password, as `/etc/vitalveil/vault.password`."""


class KeysSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The folder of the keys: never store it together with backups of the vault."""

    folder: Path
    """The folder that `trust init` filled, as `/etc/vitalveil/keys`."""


class LeaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an agent may measure without a new lease from trust."""

    ttl_s: Annotated[float, Meta(ge=1, le=30 * 86400)] = 86400.0
    """How long a gateway may measure without hearing of trust."""
    refresh_at: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """The fraction of its life after which a lease is renewed."""
    keep_days: Annotated[int, Meta(ge=1, le=4000)] = 60
    """How long ingest keeps an expired lease: longer than `clock.max_age_days` of ingest."""
    max_packet_bytes: Annotated[int, Meta(ge=4096, le=268_435_455)] = 131_072
    """The broker's max_packet_size: trust issues no lease that needs a larger packet."""


class CertificateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long certificates are valid, and the file that gives the broker the revocation list."""

    agent_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    """How long the certificate of a gateway is valid."""
    service_days: Annotated[int, Meta(ge=1, le=3650)] = 825
    """How long a certificate of broker, ingest or trust is valid."""
    ca_days: Annotated[int, Meta(ge=1, le=7300)] = 3650
    """How long the certificate of the authority is valid."""
    crl_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    """How long a revocation list is valid; the daemon writes a new one before."""
    crl_file: Path | None = None
    """The revocation list that the broker reads, as `/etc/mosquitto/ca.crl`."""
    reload_command: list[str] = []
    """
    The command that makes the broker read a new list, run without a shell, as
    `["systemctl", "reload", "mosquitto"]`.
    """
    reload_timeout_s: Seconds = 20.0
    """How long that command may take."""


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTPS service where gateways enrol."""

    certificate_file: Path
    """The certificate of the service, in PEM, as `/etc/vitalveil/serve.crt`."""
    key_file: Path
    """The private key of it, as `/etc/vitalveil/serve.key`."""
    ca_file: Path
    """The authority of the certificates of gateways, as `/etc/vitalveil/ca.crt`."""
    ingest_key_file: Path
    """The public key to which gateways seal envelopes, as `/etc/vitalveil/ingest.pub`."""
    host: str = "127.0.0.1"
    """The address to listen on, which gateways reach."""
    port: Port = 8443
    """The TCP port to listen on."""
    burst: Annotated[int, Meta(ge=1, le=1000)] = 10
    """How many attempts one network address may make at once."""
    per_minute: Annotated[float, Meta(gt=0, le=1000)] = 6.0
    """How many attempts one network address may make in the long run."""
    http: HttpSettings = HttpSettings()


class ConsentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ages of consent, in years. The defaults are those of France; ask your DPO."""

    alone_from: Annotated[int, Meta(ge=13, le=18, extra=_YEARS)] = 15
    """Below this age a minor decides together with a guardian."""
    joint_from: Annotated[int, Meta(ge=0, le=18, extra=_YEARS)] = 7
    """Below this age a guardian decides alone: a small child cannot be asked."""
    majority: Annotated[int, Meta(ge=16, le=21, extra=_YEARS)] = 18
    """From this age a person has no guardian."""


class RepairSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the daemon finishes the work of a command that was interrupted."""

    after_s: Seconds = 2.0
    """A command finishes its work within this time; after it the daemon takes over the work."""


class ErasureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Settings of erasure: the owners of both databases, and how long backups are kept.

    An owner is `vv_owner` or an administrator: only an owner may rewrite the files of a table and
    the statistics that hold values of the table.
    """

    telemetry: DatabaseSettings
    vault: DatabaseSettings
    ledger_file: Path | None = None
    """The copy of the ledger, outside both databases, as `/var/lib/vitalveil/erasures.ledger`."""
    wal_days: Annotated[int, Meta(ge=0, le=3650)] = 7
    """Days after which the write-ahead log, archives and replicas hold no erased row."""
    backup_days: Annotated[int, Meta(ge=0, le=3650)] = 35
    """Days after which no backup from before an erasure exists."""
    snapshot_wait_s: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    """How long a rewrite waits for transactions that may still read erased rows."""


class NoticeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What people are told with a copy of their data, beside what trust knows (GDPR art. 15).

    Write each as sentences that a person understands. What is left out is not made up: the copy
    says that the controller has not entered it, and the command names it.
    """

    controller: str | None = None
    """The organisation as people know it, as `Example Hospital`; by default `controller`."""
    contact: str | None = None
    """How people reach the organisation, as `1 Example Street, +33 1 00 00 00 00`."""
    dpo: str | None = None
    """How people reach the data protection officer, as `dpo@hospital.example`."""
    authority: str | None = None
    """The supervisory authority that people can complain to, as `CNIL, www.cnil.fr`."""
    sources: str | None = None
    """Where the personal details come from, as `From you, when you registered.`"""
    transfers: str | None = None
    """Transfers outside the EU with their safeguards, as `There are none.`"""
    automated_decisions: str | None = None
    """Decisions that programs make about people with the data, as `There are none.`"""
    purposes: dict[str, str] = {}
    """What each purpose is for, by its name, as `home-monitoring = "Your care at home"`."""
    recipients: dict[str, str] = {}
    """Who each recipient is, by its name in policies, as `ward = "The nurses of ward 3"`."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of trust."""

    vault: DatabaseSettings
    telemetry: DatabaseSettings
    keys: KeysSettings
    controller: Annotated[str, Meta(min_length=1, max_length=200)]
    """
    The organisation that answers for the processing, as `Example Hospital`. Never change it:
    pseudonyms depend on it.
    """
    broker: BrokerSettings | None = None
    lease: LeaseSettings = LeaseSettings()
    certificates: CertificateSettings = CertificateSettings()
    serve: ServeSettings | None = None
    consent: ConsentSettings = ConsentSettings()
    repair: RepairSettings = RepairSettings()
    erasure: ErasureSettings | None = None
    notice: NoticeSettings = NoticeSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
