"""Alerts of the database, the certificates and the clocks."""

from typing import Final

from grafana.alerts import Alert, Severity, World

_I: Final = "vitalveil_ingest_"
_T: Final = "vitalveil_trust_"

ALERTS: Final = (
    Alert(
        name="VitalVeilDatabaseFillingUp",
        expr=f"max({_I}database_bytes) > 0.85 * max({_I}database_capacity_bytes)"
        f" or max(predict_linear({_I}database_bytes[6h], 4 * 86400))"
        f" > max({_I}database_capacity_bytes)",
        hold="30m",
        severity=Severity.WARNING,
        summary="The telemetry database is nearly full, or will be in 4 days.",
        meaning="Against `watch.database_capacity_bytes` of ingest's settings. A database whose "
        "disk is full stops, and everything waits. The write-ahead log and the vault are not "
        "counted: watch the disk itself besides.",
        look=(
            "*Size, and in a week* and *Stores* on the Database dashboard.",
            "Does retention run? Is compression on (TimescaleDB under its own licence)?",
        ),
        mend=(
            "Enlarge the disk, then the setting.",
            "Shorten the retention of raw observations in the policy, if the purpose allows it.",
            "Full already: make room (never in `pg_wal`), and start the server if it ended. "
            "Ingest goes on by itself, and gateways send what they kept.",
        ),
        fires=World(
            {
                f"{_I}database_bytes": "900000x90",
                f"{_I}database_capacity_bytes": "1000000x90",
            },
            60,
        ),
        quiet=World(
            {
                f"{_I}database_bytes": "500000x90",
                f"{_I}database_capacity_bytes": "1000000x90",
            },
            60,
        ),
    ),
    Alert(
        name="VitalVeilDatabaseUnseen",
        expr=f"absent({_I}database_bytes)",
        hold="10m",
        severity=Severity.WARNING,
        summary="Nobody sees how large the telemetry database is.",
        meaning="Ingest looks at its database beside its work. It could not for 10 minutes, or is "
        "not scraped: the alerts that need these numbers are blind.",
        look=("The log: `watch_failed` names the error.",),
        mend=("Run `vitalveil doctor`: it says which grant or connection is missing.",),
        fires=World({}, 15),
        quiet=World({f"{_I}database_bytes": "1x20"}, 15),
    ),
    Alert(
        name="VitalVeilCertificateEnding",
        expr=f"min by (of, job) ({_I}certificate_end_timestamp_seconds"
        f" or {_T}certificate_end_timestamp_seconds) - time() < 14 * 86400",
        severity=Severity.CRITICAL,
        summary="A certificate of ours ends within 14 days.",
        meaning="`of` says which: `client` is the one that the process shows to the broker, `ca` "
        "is the authority of everybody. When it ends, nobody connects.",
        look=(
            "`vitalveil doctor --all` lists every certificate and its end: the broker's too, "
            "which no program of ours holds and no alert sees.",
        ),
        mend=(
            "client: `vitalveil trust pki init` issues the services' certificates; they are read "
            "before the next connection.",
            "ca: a new authority must reach every gateway before the old one ends: "
            "docs/howto/rotate-keys.md.",
        ),
        fires=World(
            {f'{_I}certificate_end_timestamp_seconds{{of="client",job="i"}}': "1000000x5"},
            1,
            {"of": "client", "job": "i"},
        ),
        quiet=World(
            {f'{_I}certificate_end_timestamp_seconds{{of="client",job="i"}}': "2000000x5"}, 1
        ),
    ),
    Alert(
        name="VitalVeilAgentCertificatesEnding",
        expr=f"max({_T}ending_certificates) > 0",
        hold="1d",
        severity=Severity.WARNING,
        summary="Certificates of gateways end within 30 days and are not renewed.",
        meaning="A gateway renews its certificate by itself long before. One that has not, for a "
        "day, does not reach trust, or is gone.",
        look=("Which gateways are off-line: the broker's retained states.",),
        mend=("Enrol the gateway again, or revoke it if nobody uses it.",),
        fires=World({f"{_T}ending_certificates": "2x1500"}, 1450),
        quiet=World({f"{_T}ending_certificates": "2x700 0x800"}, 1450),
    ),
    Alert(
        name="VitalVeilClockOff",
        expr=f"abs({_I}clock_offset_seconds) > 2",
        hold="5m",
        severity=Severity.CRITICAL,
        summary="The clocks of ingest and of its database differ by more than 2 s.",
        meaning="Consent is a matter of time: a row must have been permitted when it was "
        "measured. Clocks that differ refuse what is right, or judge a withdrawal late.",
        look=("`timedatectl` on both machines.",),
        mend=("Let NTP run on both.",),
        fires=World({f'{_I}clock_offset_seconds{{instance="a"}}': "-7x20"}, 10, {"instance": "a"}),
        quiet=World({f'{_I}clock_offset_seconds{{instance="a"}}': "0.4x20"}, 10),
    ),
)
