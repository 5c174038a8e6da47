"""
Alerts on the fleet.

Every ingest process receives the states of all gateways: expressions take the maximum over
processes, never the sum.
"""

from typing import Final

from grafana.alerts import Alert, Severity, World

_F: Final = "vitalveil_ingest_fleet_"

ALERTS: Final = (
    Alert(
        name="VitalVeilSpoolOverflow",
        expr="max by (reason) (increase("
        f'{_F}purged_observations_total{{reason=~"evicted.*"}}[15m])) > 0',
        severity=Severity.CRITICAL,
        summary="Gateways evict observations that were never stored.",
        meaning="A spool reached its limit of bytes or age, and its oldest envelopes were "
        "evicted. They are lost, and counted as lost. This takes days without a "
        "receipt, or a limit that is too small.",
        look=(
            "*Oldest in any spool* and *Spooled envelopes* on the Fleet dashboard.",
            "Is ingest up, and do receipts go out? See VitalVeilNothingStored.",
        ),
        remedy=(
            "Bring ingest or the network back.",
            "Raise `spool.max_bytes` or `spool.max_age_s` of the gateways, if the disk has room.",
        ),
        fires=World(
            {f'{_F}purged_observations_total{{reason="evicted_bytes"}}': "0x10 500x20"},
            15,
            {"reason": "evicted_bytes"},
        ),
        quiet=World({f'{_F}purged_observations_total{{reason="withdrawn"}}': "0x10 500x20"}, 15),
    ),
    Alert(
        name="VitalVeilSpoolsWaiting",
        expr=f"max({_F}spool_oldest_seconds) > 6 * 3600",
        hold="15m",
        severity=Severity.WARNING,
        summary="An envelope waits for more than 6 hours at a gateway that is on-line.",
        meaning="The gateway is connected to the broker, and no receipt covers its oldest "
        "envelope. It will be evicted when the spool's limit is reached.",
        look=(
            "Does ingest store anything? If it does, only this gateway is affected.",
            "`vitalveil agent spool show` on that gateway.",
            "The broker's ACL: may the gateway read its receipts?",
        ),
        remedy=(
            "Run `vitalveil doctor` where ingest runs.",
            "Restart the agent: it publishes everything without a receipt again.",
        ),
        fires=World({f"{_F}spool_oldest_seconds": "25000x40"}, 30),
        quiet=World({f"{_F}spool_oldest_seconds": "9000x40"}, 30),
    ),
    Alert(
        name="VitalVeilAgentsOffline",
        expr=f'max(max_over_time({_F}agents{{state="online"}}[1h]))'
        f' - max({_F}agents{{state="online"}})'
        f' > 0.2 * max(max_over_time({_F}agents{{state="online"}}[1h]))'
        f' and max(max_over_time({_F}agents{{state="online"}}[1h])) >= 5',
        hold="10m",
        severity=Severity.CRITICAL,
        summary="More than a fifth of the gateways went off-line within the hour.",
        meaning="Single gateways come and go with the electricity of homes. Many at once point "
        "to the broker, its certificate, a network, or a failed update.",
        look=(
            "The broker: up, reachable from outside, certificate valid?",
            "An update of gateways, or a revocation list that was written just before.",
            "One network provider, or all?",
        ),
        remedy=(
            "If a certificate of the broker or a revocation list has ended: `vitalveil "
            "trust pki` makes new ones; mosquitto reads them on SIGHUP.",
            "There is time: gateways continue to measure into their spools until their "
            "lease ends.",
        ),
        fires=World({f'{_F}agents{{state="online"}}': "100x20 70x40"}, 40),
        quiet=World({f'{_F}agents{{state="online"}}': "100x20 90x40"}, 40),
    ),
    Alert(
        name="VitalVeilLeasesSlow",
        expr="histogram_quantile(0.5, sum by (le) "
        f"(increase({_F}lease_propagation_seconds_bucket[1h]))) > 5",
        hold="10m",
        severity=Severity.WARNING,
        summary="Half of the leases take more than 5 s to reach their gateway.",
        meaning="Promise P8 says that an on-line gateway stops measuring within 5 s of a "
        "withdrawal. Leases travel the same way. Gateways that were off-line are "
        "included: they explain slow leases at the tail, but not at the median.",
        look=(
            "*Leases late* on the Privacy dashboard: does trust publish?",
            "The broker: queues, CPU, connections.",
        ),
        remedy=("Restart trust's daemon if it is connected and publishes nothing.",),
        fires=World(
            {
                f'{_F}lease_propagation_seconds_bucket{{le="5"}}': "0+1x90",
                f'{_F}lease_propagation_seconds_bucket{{le="30"}}': "0+10x90",
                f'{_F}lease_propagation_seconds_bucket{{le="+Inf"}}': "0+10x90",
            },
            80,
        ),
        quiet=World(
            {
                f'{_F}lease_propagation_seconds_bucket{{le="5"}}': "0+9x90",
                f'{_F}lease_propagation_seconds_bucket{{le="30"}}': "0+10x90",
                f'{_F}lease_propagation_seconds_bucket{{le="+Inf"}}': "0+10x90",
            },
            80,
        ),
    ),
    Alert(
        name="VitalVeilReceiptsForged",
        expr=f'max(increase({_F}faults_total{{fault="refused_receipts"}}[15m])) > 0',
        severity=Severity.CRITICAL,
        summary="Gateways receive receipts without a valid proof of ingest.",
        meaning="Either receipts are published by someone without ingest's key, or changed on "
        "the way. Gateways delete nothing because of them, so nothing is lost; but the "
        "sender can write to the broker. Or ingest's key was exchanged, and a gateway "
        "pins a key that ingest does not have any more.",
        look=(
            "Was ingest's key exchanged lately (docs/howto/rotate-keys.md)?",
            "The broker: who has access to ingest's certificate, to its configuration and "
            "to its machine?",
            "The log of a gateway: `receipt_refused` gives the reason.",
        ),
        remedy=(
            "After an exchange of keys: name the previous key in `keys.previous_key_file`, "
            "and bring `ingest.pub` to the gateways.",
            "Otherwise treat ingest's certificate as stolen: issue a new one and revoke the"
            " old one.",
        ),
        fires=World({f'{_F}faults_total{{fault="refused_receipts"}}': "0x10 3x30"}, 15),
        quiet=World({f'{_F}faults_total{{fault="old_receipts"}}': "0x10 3x30"}, 15),
    ),
    Alert(
        name="VitalVeilReceiptsOld",
        expr=f'max(increase({_F}faults_total{{fault="old_receipts"}}[1h])) > 0',
        hold="1h",
        severity=Severity.WARNING,
        summary="Gateways still receive receipts without a proof.",
        meaning="The gateways were upgraded before ingest, or someone publishes receipts in the"
        " form of version 0.1.0. Gateways keep their envelopes, within the limits of "
        "their spools. For some minutes after an upgrade this is normal.",
        look=(
            "The versions of ingest and of trust: docs/howto/upgrade.md gives the order of "
            "upgrades.",
        ),
        remedy=("Upgrade trust, then every ingest process.",),
        fires=World({f'{_F}faults_total{{fault="old_receipts"}}': "0+1x200"}, 150),
        quiet=World({f'{_F}faults_total{{fault="old_receipts"}}': "0x10 3x200"}, 150),
    ),
    Alert(
        name="VitalVeilSpoolsDamaged",
        expr=f'max(increase({_F}faults_total{{fault="spool_damaged"}}[1h])) > 0',
        severity=Severity.WARNING,
        summary="A gateway set a damaged spool aside.",
        meaning="Its SD card is failing, or the power was cut while the card reported writes "
        "that it had not done. Unsent envelopes of that spool may be lost.",
        look=("`vitalveil agent spool show` on gateways that were restarted lately.",),
        remedy=("Replace the card. The damaged file was kept beside the new one.",),
        fires=World({f'{_F}faults_total{{fault="spool_damaged"}}': "0x10 1x60"}, 30),
        quiet=World({f'{_F}faults_total{{fault="broker_errors"}}': "0x10 1x60"}, 30),
    ),
)
