"""Alerts on databases, certificates and clocks."""

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
        meaning="The size is compared with `watch.database_capacity_bytes` of ingest's "
        "settings. A database with a full disk stops, and everything waits. The "
        "write-ahead log and the vault are not included: watch the disk as well.",
        look=(
            "*Size, and in a week* and *Stores* on the Database dashboard.",
            "Does retention run? Is compression on (TimescaleDB under its own licence)?",
        ),
        remedy=(
            "Enlarge the disk, then the setting.",
            "Shorten the retention of raw observations in the policy, if the purpose allows it.",
            "If the disk is full already: make room (never in `pg_wal`), and start the "
            "server if it has stopped. Ingest continues without a restart, and gateways "
            "send what they kept.",
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
        summary="The size of the telemetry database is not measured.",
        meaning="Ingest measures its database in the background. It could not do so for 10 "
        "minutes, or is not scraped: alerts on the size cannot fire.",
        look=("The log: `watch_failed` names the error.",),
        remedy=("Run `vitalveil doctor`: it names the grant or connection that is missing.",),
        fires=World({}, 15),
        quiet=World({f"{_I}database_bytes": "1x20"}, 15),
    ),
    Alert(
        name="VitalVeilCertificateEnding",
        expr=f"min by (of, job) ({_I}certificate_end_timestamp_seconds"
        f" or {_T}certificate_end_timestamp_seconds) - time() < 14 * 86400",
        severity=Severity.CRITICAL,
        summary="A certificate of the system ends within 14 days.",
        meaning="`of` tells which: `client` is the certificate that the process shows to the "
        "broker, `ca` is the authority of all certificates. When it ends, connections "
        "are refused.",
        look=(
            "`vitalveil doctor --all` lists every certificate with its end, also that of "
            "the broker, which no metric covers.",
        ),
        remedy=(
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
        meaning="A gateway renews its certificate long before its end. A gateway that has not "
        "done so for a day does not reach trust, or is out of use.",
        look=(
            "Whether the enrolment service runs and gateways reach its port 8443: `systemctl "
            "status vitalveil-enrolment`, and `[enrolment]` in the settings of a gateway. If many "
            "gateways are concerned, this is the cause.",
            "Which gateways are off-line: the broker's retained states.",
        ),
        remedy=(
            "Start the enrolment service (`vitalveil trust serve`); gateways ask it once an hour.",
            "Enrol the gateway again, or revoke it if it is out of use.",
        ),
        fires=World({f"{_T}ending_certificates": "2x1500"}, 1450),
        quiet=World({f"{_T}ending_certificates": "2x700 0x800"}, 1450),
    ),
    Alert(
        name="VitalVeilClockOff",
        expr=f"abs({_I}clock_offset_seconds) > 2",
        hold="5m",
        severity=Severity.CRITICAL,
        summary="The clocks of ingest and of its database differ by more than 2 s.",
        meaning="Consent depends on time: a row must have been permitted when it was measured. "
        "With clocks that differ, permitted rows are refused, or a withdrawal is "
        "applied late.",
        look=("`timedatectl` on both machines.",),
        remedy=("Run NTP on both machines.",),
        fires=World({f'{_I}clock_offset_seconds{{instance="a"}}': "-7x20"}, 10, {"instance": "a"}),
        quiet=World({f'{_I}clock_offset_seconds{{instance="a"}}': "0.4x20"}, 10),
    ),
)
