"""Alerts on the path from the broker to the database."""

from typing import Final

from grafana.alerts import Alert, Severity, World

_I: Final = "vitalveil_ingest_"
_STRANGE: Final = "unknown_agent|agent_revoked|agent_expired|wrong_topic|malformed"
_LOST: Final = (
    f"abs(sum without (outcome) ({_I}envelopes_total) + {_I}abandoned_envelopes_total"
    f" + {_I}in_flight_envelopes - {_I}received_envelopes_total) > 0"
)
_BOOKS: Final = {
    f'{_I}envelopes_total{{instance="a",outcome="stored"}}': "0+90x30",
    f'{_I}envelopes_total{{instance="a",outcome="refused"}}': "0+5x30",
    f'{_I}abandoned_envelopes_total{{instance="a"}}': "0+1x30",
    f'{_I}in_flight_envelopes{{instance="a"}}': "4x30",
}
_RECEIVED: Final = f'{_I}received_envelopes_total{{instance="a"}}'

ALERTS: Final = (
    Alert(
        name="VitalVeilIngestDown",
        expr='up{job="vitalveil-ingest"} == 0 or absent(up{job="vitalveil-ingest"})',
        hold="2m",
        severity=Severity.CRITICAL,
        summary="An ingest process is down: what its gateways send is not stored.",
        meaning="Prometheus cannot scrape an ingest process, or has none configured. Nothing is"
        " lost: the broker queues, and gateways keep envelopes without a receipt. But "
        "spools are finite, and no new data can be seen.",
        look=(
            "The process: `systemctl status vitalveil-ingest`, or the state of its container.",
            "Its last log lines: `failed` gives the type of the error and the reason.",
            "`/readyz` of the process names what is missing: broker, database or permissions.",
        ),
        remedy=(
            "Start it again. If it ends immediately with exit code 2, its settings are "
            "wrong: `vitalveil ingest check-config` names the key.",
            "Run `vitalveil doctor`.",
        ),
        fires=World(
            {'up{job="vitalveil-ingest",instance="a"}': "1 1 0x10"},
            6,
            {"job": "vitalveil-ingest", "instance": "a"},
        ),
        quiet=World({'up{job="vitalveil-ingest",instance="a"}': "1 1 0 1x10"}, 6),
    ),
    Alert(
        name="VitalVeilConservationBroken",
        expr=_LOST,
        hold="5m",
        severity=Severity.CRITICAL,
        summary="Envelopes that ingest received have no outcome.",
        meaning="For minutes, received has differed from stored + duplicate + refused + "
        "quarantined + abandoned + in flight. This breaks promise P6 and is a defect of"
        " the software: envelopes may be lost, or counted twice.",
        look=(
            "Which process: the `instance` label.",
            "Since when: the panel *Unaccounted for* of the Pipeline dashboard.",
            "Whether spools grow: gateways keep envelopes without a receipt, so that lost "
            "ones are sent again.",
        ),
        remedy=(
            "Save the log of the process and its `/metrics`, then restart it: envelopes "
            "without an acknowledgement are delivered again.",
            "Report the defect with both files. Do not purge spools.",
        ),
        fires=World({**_BOOKS, _RECEIVED: "7+96x30"}, 20, {"instance": "a"}),
        quiet=World({**_BOOKS, _RECEIVED: "4+96x30"}, 20),
    ),
    Alert(
        name="VitalVeilNothingStored",
        expr=f'sum(rate({_I}envelopes_total{{outcome="stored"}}[10m])) == 0'
        f" and max({_I}fleet_measuring_agents) > 0",
        hold="5m",
        severity=Severity.CRITICAL,
        summary="Gateways measure, and nothing is stored.",
        meaning="At least one on-line gateway has a lease in force, and no envelope was stored "
        "for a quarter of an hour.",
        look=(
            "*Connected* on the Pipeline dashboard: broker, database, permissions.",
            "*Observations refused, by reason*: is everything refused, and why?",
            "*Appended and settled* on the Fleet dashboard: do gateways append anything?",
        ),
        remedy=(
            "Ingest is not connected to the database: see VitalVeilFlushesRetried.",
            "Everything is refused: see VitalVeilRefusalsRising.",
            "Gateways append nothing: their sensors are off, or their recorded source is missing.",
        ),
        fires=World(
            {
                f'{_I}envelopes_total{{outcome="stored"}}': "50x30",
                f"{_I}fleet_measuring_agents": "3x30",
            },
            20,
        ),
        quiet=World(
            {
                f'{_I}envelopes_total{{outcome="stored"}}': "50x30",
                f"{_I}fleet_measuring_agents": "0x30",
            },
            20,
        ),
    ),
    Alert(
        name="VitalVeilLatencyHigh",
        expr="histogram_quantile(0.99, sum by (le) "
        f"(rate({_I}measured_to_queryable_seconds_bucket[10m]))) > 300",
        hold="15m",
        severity=Severity.WARNING,
        summary="Measured to queryable takes more than 5 minutes at the 99th percentile.",
        meaning="Data come late. Either gateways catch up after they were off-line, which passes, "
        "or the pipeline does not keep up, which does not.",
        look=(
            "*In flight* on the Pipeline dashboard: flat at its window means that the database is "
            "the limit.",
            "*Spooled envelopes* on the Fleet dashboard: falling means that a backlog is being "
            "worked off.",
            "*Flush and COPY, p99*: seconds mean locks or a slow disk.",
        ),
        remedy=(
            "A backlog: wait. Fresh readings are sent first.",
            "A slow database: look for long transactions, a full disk, autovacuum on the ledger.",
            "Ingest at the limit of one core: add workers (docs/howto/scale-out.md).",
        ),
        fires=World(
            {
                f'{_I}measured_to_queryable_seconds_bucket{{le="60"}}': "0+1x60",
                f'{_I}measured_to_queryable_seconds_bucket{{le="600"}}': "0+100x60",
                f'{_I}measured_to_queryable_seconds_bucket{{le="+Inf"}}': "0+100x60",
            },
            40,
        ),
        quiet=World(
            {
                f'{_I}measured_to_queryable_seconds_bucket{{le="60"}}': "0+100x60",
                f'{_I}measured_to_queryable_seconds_bucket{{le="600"}}': "0+100x60",
                f'{_I}measured_to_queryable_seconds_bucket{{le="+Inf"}}': "0+100x60",
            },
            40,
        ),
    ),
    Alert(
        name="VitalVeilPermissionFeedStale",
        expr=f'{_I}connected{{to="permissions"}} == 0'
        f" or {_I}permissions_gate_epoch - on (instance, job) {_I}permissions_epoch > 0",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="An ingest process does not learn of changed permissions.",
        meaning="Its connection that asks for changes is gone, or it is behind the database. "
        "No row is stored against a withdrawal even so: each transaction checks the epoch under "
        "the gate's lock. But each flush now reads the changes itself, and refuses later.",
        look=(
            "The log: `permissions_unreachable` names the error.",
            "*Epoch: known, and true* on the Privacy dashboard.",
            "A pooler in transaction mode between ingest and the database.",
        ),
        remedy=(
            "Let ingest reach the database directly, not through a pooler in transaction mode.",
            "Restart the process if it does not come back by itself.",
        ),
        fires=World(
            {
                f'{_I}permissions_gate_epoch{{instance="a",job="i"}}': "7x10",
                f'{_I}permissions_epoch{{instance="a",job="i"}}': "5x10",
            },
            5,
            {"instance": "a", "job": "i"},
        ),
        quiet=World(
            {
                f'{_I}connected{{to="permissions",instance="a",job="i"}}': "1x10",
                f'{_I}permissions_gate_epoch{{instance="a",job="i"}}': "7x10",
                f'{_I}permissions_epoch{{instance="a",job="i"}}': "5 5 7x8",
            },
            5,
        ),
    ),
    Alert(
        name="VitalVeilQuarantineGrowing",
        expr=f"sum by (reason) (increase({_I}quarantined_envelopes_total[1h])) > 0",
        severity=Severity.WARNING,
        summary="Envelopes go into quarantine.",
        meaning="bad_seal: no key of ingest opens them; either the key was rotated too early, "
        "or they are forged. Gateways keep what they sent. conflict: a sequence arrived"
        " again with other bytes, which our agents never send. poison: the database "
        "cannot write them, which is a defect.",
        look=(
            "The `reason`.",
            "*Quarantine* on the Privacy dashboard: how many, and when they expire.",
            "bad_seal: was ingest's key rotated lately?",
        ),
        remedy=(
            "bad_seal: name the previous key in `keys.previous_key_file` until every "
            "gateway has restarted (docs/howto/rotate-keys.md). Gateways send again what is"
            " in quarantine; `vitalveil ingest quarantine reopen` stores it immediately.",
            "bad_seal, although no key was changed: someone publishes in the name of a "
            "gateway. No data is affected. Find out who can write to the broker.",
            "conflict: a gateway was cloned, or its spool was restored from a copy. Enrol "
            "it again.",
            "poison: report the defect; when it is repaired, reopen the quarantine in the "
            "same way.",
        ),
        fires=World(
            {f'{_I}quarantined_envelopes_total{{reason="bad_seal"}}': "0x20 3x20"},
            30,
            {"reason": "bad_seal"},
        ),
        quiet=World({f'{_I}quarantined_envelopes_total{{reason="bad_seal"}}': "3x40"}, 30),
    ),
    Alert(
        name="VitalVeilRefusalsRising",
        expr=f'sum by (reason) (rate({_I}refused_observations_total{{reason!="withdrawn"}}[15m]))'
        f" / on () group_left () sum(rate({_I}observations_total[15m])) > 0.05",
        hold="15m",
        severity=Severity.WARNING,
        summary="More than 5 % of all observations are refused for one reason.",
        meaning="Refused observations are not kept, and gateways delete them. A share this "
        "large is seldom a person's wish and mostly a mistake: versions of a policy "
        "that differ between gateway and ingest, clocks that are wrong, leases that are"
        " not renewed.",
        look=(
            "The `reason`; docs/metrics.md says what each means.",
            "lease_expired, outside_period: is trust up, and does it reach the broker?",
            "from_the_future, too_old: the gateways' clocks.",
            "policy_exceeded: a policy changed, and gateways hold an older lease.",
        ),
        remedy=(
            "Repair what the reason names. Refused observations are gone, because they were"
            " not permitted.",
        ),
        fires=World(
            {
                f'{_I}refused_observations_total{{reason="lease_expired"}}': "0+10x60",
                f'{_I}observations_total{{outcome="refused"}}': "0+10x60",
                f'{_I}observations_total{{outcome="stored"}}': "0+90x60",
            },
            40,
            {"reason": "lease_expired"},
        ),
        quiet=World(
            {
                f'{_I}refused_observations_total{{reason="withdrawn"}}': "0+10x60",
                f'{_I}refused_observations_total{{reason="lease_expired"}}': "0+1x60",
                f'{_I}observations_total{{outcome="refused"}}': "0+11x60",
                f'{_I}observations_total{{outcome="stored"}}': "0+90x60",
            },
            40,
        ),
    ),
    Alert(
        name="VitalVeilStrangers",
        expr="sum by (reason) (increase("
        f'{_I}refused_envelopes_total{{reason=~"{_STRANGE}"}}[15m])) > 0',
        severity=Severity.WARNING,
        summary="Envelopes arrive that are not valid, or from senders without permission.",
        meaning="The broker accepted a client that the vault does not know or has revoked, or "
        "whose certificate has ended; or it let an agent publish to a topic of another "
        "one; or a gateway sends something that is not an envelope. None of it is "
        "stored.",
        look=(
            "unknown_agent: was a database restored that is older than the last enrolment?",
            "agent_revoked: the broker has not disconnected a gateway, or accepts it again.",
            "agent_expired: a gateway is connected whose certificate has ended; its data "
            "are stored when it is renewed.",
            "wrong_topic: is the broker's ACL the one of deploy/mosquitto/acl?",
            "The log of the broker.",
        ),
        remedy=(
            "Run `vitalveil doctor`: it checks the broker's ACL and its certificates.",
            "A revoked gateway still sends: does the broker read the revocation list?",
            "A certificate has ended: issue a new one with `vitalveil trust pki "
            "issue-agent`, and find out why the gateway did not renew it.",
        ),
        fires=World(
            {f'{_I}refused_envelopes_total{{reason="wrong_topic"}}': "0x10 2x20"},
            15,
            {"reason": "wrong_topic"},
        ),
        quiet=World({f'{_I}refused_envelopes_total{{reason="withdrawn"}}': "0x10 2x20"}, 15),
    ),
    Alert(
        name="VitalVeilFlushesRetried",
        expr=f"sum by (instance, job) (increase({_I}flush_retries_total[5m])) > 3",
        hold="5m",
        severity=Severity.CRITICAL,
        summary="The database does not accept what ingest writes.",
        meaning="Transactions have failed and been repeated for minutes. Nothing is lost: "
        "acknowledgements wait, the broker queues, gateways keep their envelopes. But "
        "nothing is stored.",
        look=(
            "The log: `flush_retried` gives the cause from a closed list.",
            "The database: does it run, is its disk full, is it a replica after a fail-over?",
        ),
        remedy=("Free the disk, or start the server. Ingest continues without a restart.",),
        fires=World(
            {f'{_I}flush_retries_total{{instance="a",job="i"}}': "0+4x30"},
            20,
            {"instance": "a", "job": "i"},
        ),
        quiet=World({f'{_I}flush_retries_total{{instance="a",job="i"}}': "0x10 4x20"}, 20),
    ),
    Alert(
        name="VitalVeilSpoolsInTurns",
        expr=f"sum by (sign) (increase({_I}clone_signs_total[1h])) > 0",
        severity=Severity.CRITICAL,
        summary="Two agents seem to send under the identity of one gateway.",
        meaning="Two spools of one gateway advanced in turns, three times within an hour. One "
        "agent never does that, because it does not return to a spool that it has left."
        " The certificate and keys are on two machines: a copied card, or a spare with "
        "the same bundle. The data of both are stored, as far as the handles of that "
        "gateway permit.",
        look=(
            "Which gateway, as an administrator of the telemetry database: `SELECT agent "
            "FROM vv.envelopes WHERE stored_at > now() - interval '2 hours' GROUP BY agent "
            "HAVING count(DISTINCT spool_id) > 1`.",
            "At the gateway: its connection is lost repeatedly, because the broker keeps "
            "one of the two at a time.",
            "`vitalveil trust agent list`: `signs_of_a_clone` of the same gateway.",
        ),
        remedy=(
            "Revoke it, and enrol the gateway again: `vitalveil trust pki revoke`.",
            "If the second machine is a spare of your own: stop it, and enrol it as a "
            "gateway of its own.",
        ),
        fires=World(
            {f'{_I}clone_signs_total{{sign="spools_in_turns"}}': "0x5 1x20"},
            10,
            {"sign": "spools_in_turns"},
        ),
        quiet=World({f'{_I}clone_signs_total{{sign="spools_in_turns"}}': "3x25"}, 10),
    ),
)
