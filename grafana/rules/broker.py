"""Alerts on the connection between ingest and the broker."""

from typing import Final

from grafana.alerts import Alert, Severity, World

_I: Final = "vitalveil_ingest_"

ALERTS: Final = (
    Alert(
        name="VitalVeilBrokerLost",
        expr=f'{_I}connected{{to="broker"}} == 0',
        hold="5m",
        severity=Severity.CRITICAL,
        summary="An ingest process is not connected to the broker.",
        meaning="What its gateways send is queued by the broker, or kept by the gateways, and "
        "is not stored. If there are several workers, the others continue, so that no "
        "other alert fires for hours.",
        look=(
            "The log: `broker_lost` and `broker_unreachable` give the reason. "
            "SESSION_TAKEN_OVER means that two processes have the same name.",
            "The broker: does it run, and is its certificate valid?",
            "*Certificates* of this process: the broker refuses clients whose certificate "
            "has ended.",
        ),
        remedy=(
            "Run `vitalveil doctor` where ingest runs.",
            "Two processes with the same name: give each its own `session.client_id` "
            "(docs/howto/scale-out.md), or end one.",
        ),
        fires=World(
            {
                f'{_I}connected{{to="broker",instance="a",job="i"}}': "1x30",
                f'{_I}connected{{to="broker",instance="b",job="i"}}': "1x10 0x20",
            },
            20,
            {"to": "broker", "instance": "b", "job": "i"},
        ),
        quiet=World(
            {
                f'{_I}connected{{to="broker",instance="a",job="i"}}': "1x10 0x3 1x20",
                f'{_I}connected{{to="database",instance="a",job="i"}}': "0x30",
            },
            20,
        ),
    ),
    Alert(
        name="VitalVeilReceiptsWaiting",
        expr=f"sum by (reason) ({_I}waiting_receipts) > 0",
        hold="30m",
        severity=Severity.WARNING,
        summary="Gateways get no receipts for what is stored.",
        meaning="Their observations are stored, and the gateways keep them until they get a "
        "receipt. no_state: ingest has not received the state of a gateway since it "
        "started, so that it does not know which receipts the gateway reads. no_key: "
        "trust has not written the public lease key of the gateway. weak_key: that key "
        "is of a small order, so that a proof under it proves nothing.",
        look=(
            "The `reason`.",
            "no_state: does the broker retain `vv1/state/+`, and may the gateway write its own?",
            "no_key: is trust's daemon running, and of this version?",
        ),
        remedy=(
            "no_key: start trust's daemon, which writes the keys of all gateways at its "
            "start (docs/howto/upgrade.md).",
            "weak_key: revoke that gateway and enrol it again.",
        ),
        fires=World(
            {f'{_I}waiting_receipts{{reason="no_key"}}': "2x60"}, 40, {"reason": "no_key"}
        ),
        quiet=World({f'{_I}waiting_receipts{{reason="no_state"}}': "5x10 0x50"}, 40),
    ),
    Alert(
        name="VitalVeilReceiptsRefused",
        expr=f"sum by (instance, job) (increase({_I}refused_receipts_total[15m])) > 0",
        severity=Severity.CRITICAL,
        summary="The broker refuses ingest's receipts.",
        meaning="Observations are stored, but gateways are not told. They keep everything, send"
        " it repeatedly, and evict the oldest when their spools are full.",
        look=(
            "The log: `receipt_refused` gives the reason. NOT_AUTHORIZED is the broker's ACL.",
            "*Spooled envelopes* on the Fleet dashboard: it grows until this is repaired.",
        ),
        remedy=(
            "The broker's ACL must let `ingest` write `vv1/receipt/+`, as in "
            "deploy/mosquitto/acl; mosquitto reads it again on SIGHUP.",
            "QUOTA_EXCEEDED: raise the broker's limits. Nothing was lost.",
        ),
        fires=World(
            {f'{_I}refused_receipts_total{{instance="a",job="i"}}': "0x10 0+4x20"},
            15,
            {"instance": "a", "job": "i"},
        ),
        quiet=World(
            {
                f'{_I}refused_receipts_total{{instance="a",job="i"}}': "7x30",
                f'{_I}receipts_total{{instance="a",job="i"}}': "0+4x30",
            },
            15,
        ),
    ),
)
