"""The settings of the agent."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtime.settings import BrokerSettings, HttpSettings, LogSettings, PositiveInt, Seconds

AgentId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="As trust enrolled it.")]
Adapter = Annotated[str, Meta(pattern="^hci[0-9]{1,3}$")]
# Beyond it an envelope could outgrow what ingest reads, with the widest padding.
BatchSize = Annotated[int, Meta(ge=1, le=4000)]
SpoolBytes = Annotated[int, Meta(ge=65_536)]


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of keys, PEM, as trust writes them into the bundle."""

    trust_file: Path
    """The key that verifies leases, as `/etc/vitalveil/trust.pub`."""
    ingest_file: Path
    """The key that envelopes are sealed for, as `/etc/vitalveil/ingest.pub`."""
    lease_file: Path
    """The private key that opens leases, mode 0600, as `/etc/vitalveil/lease.key`."""


class BluetoothSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time-outs of the radio, and how to treat the clocks of sensors."""

    adapter: Adapter | None = None
    """The Bluetooth adapter, as `hci0`; by default the first that is switched on."""
    silence_s: Seconds = 30.0
    """How long a sensor that sends every second may be silent before it is disconnected."""
    cgm_silence_s: Seconds = 900.0
    """How long a sensor that sends every few minutes may be silent before it is disconnected."""
    meter_every_s: Seconds = 60.0
    """How often a meter that is in reach is asked for new records."""
    longest_wait_s: Seconds = 15.0
    """The longest pause between attempts to connect."""
    give_up_after_s: Annotated[float, Meta(ge=60)] = 600.0
    """After this time without any success the process exits, so that it is restarted."""
    assume_local_clocks: bool = False
    """Treat a clock that cannot be read as right, in this machine's time zone. Otherwise the
    records of its sensor are refused as undated."""
    set_clocks: bool = False
    """Set the clock of a meter that is off by a minute to this machine's local time, and tell a
    CGM sensor when its session began, if the sensor does not know."""
    quirks_file: Path | None = None
    """How models depart from the specification, in TOML, as `/etc/vitalveil/quirks.toml`."""


class SensorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where measurements come from."""

    recorded_socket: Path = Path("/run/vitalveil/sensors.sock")
    """The Unix socket that a player connects to."""
    source: Literal["recorded", "bluetooth"] = "recorded"
    """Real sensors over Bluetooth, or a player of recordings."""
    bluetooth: BluetoothSettings = BluetoothSettings()


class BatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an envelope is made, and how far ahead of the clock a measurement may be."""

    max_observations: BatchSize = 500
    """At most so many observations in one envelope."""
    max_age_s: Seconds = 5.0
    """A batch is made into an envelope at this age of its oldest observation."""
    due_observations: BatchSize = 20
    """A batch of one person with this many observations is stored before `max_age_s`. A glucose
    value is stored at once."""
    max_ahead_s: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    """A measurement that is dated further ahead of this machine's clock is refused."""


class PublishSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many envelopes may be without a receipt, and when to publish again."""

    max_unsettled: PositiveInt = 512
    """At most so many envelopes are sent and without a receipt."""
    resend_after_s: Seconds = 30.0
    """An envelope without a receipt is published again after this time."""
    longest_wait_s: Seconds = 30.0
    """The longest pause between attempts to connect."""
    start_within_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    """Wait a random part of this before the first attempt, so that many gateways do not connect at
    the same moment after a power cut."""
    backlog_per_s: Annotated[float, Meta(gt=0)] = 200.0
    """Envelopes of the backlog, each second. New envelopes go first."""


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the spool may hold while nothing can be sent."""

    max_bytes: SpoolBytes = 268_435_456
    """The size at which the spool evicts what is least important."""
    max_age_s: Seconds = 1_209_600.0
    """How long an envelope may wait: two weeks."""
    min_free_bytes: Annotated[int, Meta(ge=0)] = 67_108_864
    """Free bytes on its disk, below which the spool no longer grows."""


class ClockSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to trust this machine's clock."""

    belief: Literal["always", "synchronised"] = "always"
    """`synchronised` for a machine whose clock does not survive a power cut."""
    marker: Path = Path("/run/systemd/timesync/synchronized")
    """A file that exists once the clock was synchronised since the last start."""
    undated_s: Annotated[float, Meta(ge=0, le=86_400)] = 3600.0
    """How long after its start the agent listens to sensors while the time is unknown. Their
    measurements wait in memory until it is known."""


class EnrolmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where certificates are renewed."""

    url: Annotated[str, Meta(pattern="^https://", description="Of `vitalveil trust serve`.")]
    """The address of `vitalveil trust serve`, as `https://trust.example:8443`."""
    renew_at: Annotated[float, Meta(gt=0, lt=1)] = 0.6
    """The fraction of a certificate's life after which a new one is asked for."""


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of the agent."""

    agent: AgentId
    """The id of this gateway, 16 hexadecimal digits, given by trust, as `0123456789abcdef`."""
    state_dir: Path
    """Private folder of spool and lease, as `/var/lib/vitalveil/agent`."""
    broker: BrokerSettings
    keys: KeySettings
    sensors: SensorSettings
    enrolment: EnrolmentSettings | None = None
    batch: BatchSettings = BatchSettings()
    publish: PublishSettings = PublishSettings()
    spool: SpoolSettings = SpoolSettings()
    clock: ClockSettings = ClockSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
