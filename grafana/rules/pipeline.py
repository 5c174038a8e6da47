"""Alerts of the path from broker to database."""

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
        meaning="Prometheus cannot scrape an ingest process, or knows of none. Nothing is lost: "
        "the broker queues, and gateways keep what no receipt has settled. But spools are finite, "
        "and nobody sees new data.",
        look=(
            "The process: `systemctl status vitalveil-ingest`, or the container's state.",
            "Its last log lines: `failed` names the type of the error, and why.",
            "`/readyz` of the process says which of broker, database and permissions it lacks.",
        ),
        mend=(
            "Start it again. If it ends at once with exit code 2, its settings are wrong: "
            "`vitalveil ingest check-config` names the key.",
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
        summary="Ingest's books do not balance: envelopes are unaccounted for.",
        meaning="Received is not stored + duplicate + refused + quarantined + abandoned + in "
        "flight, for minutes. This is promise P6, and a defect of the software: envelopes may be "
        "lost, or doubled in the counts.",
        look=(
            "Which process: the `instance` label.",
            "Since when: the panel *Unaccounted for* of the Pipeline dashboard.",
            "Whether spools grow: gateways keep what no receipt has settled, so that what was "
            "lost between is sent again.",
        ),
        mend=(
            "Keep the process's log and its `/metrics`, then restart it: unacknowledged envelopes "
            "come again.",
            "Report it, with both. Do not purge spools.",
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
        meaning="At least one gateway on-line holds a lease in force, and not one envelope was "
        "stored for a quarter of an hour.",
        look=(
            "*Connected* on the Pipeline dashboard: broker, database, permissions.",
            "*Observations refused, by reason*: is all refused, and for what?",
            "*Appended and settled* on the Fleet dashboard: do gateways append at all?",
        ),
        mend=(
            "Away from the database: see VitalVeilFlushesRetried.",
            "All refused: see VitalVeilRefusalsRising.",
            "Gateways append nothing: their sensors are off, or their recorded source is gone.",
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
        mend=(
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
        mend=(
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
        meaning="bad_seal: no key of ours opens them, which is what a key rotated too early looks "
        "like, or a forgery; gateways keep what they sent. conflict: an identity came again with "
        "other bytes, which no agent of ours does. poison: the database cannot write them, which "
        "is a defect.",
        look=(
            "The `reason`.",
            "*Quarantine* on the Privacy dashboard: how many, and when they expire.",
            "bad_seal: was ingest's key rotated lately?",
        ),
        mend=(
            "bad_seal: name the previous key in `keys.previous_key_file` until every gateway has "
            "restarted (docs/howto/rotate-keys.md). Gateways send again what is in quarantine; "
            "`vitalveil ingest quarantine reopen` stores it at once.",
            "bad_seal, and no key was changed: somebody publishes for a gateway. It spoils "
            "nothing. Look at who can write to the broker.",
            "conflict: a gateway was cloned, or its spool was restored from a copy: "
            "enrol it anew.",
            "poison: report it; once it is mended, reopen it likewise.",
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
        meaning="Refused observations are not kept, and gateways forget them. A share that large "
        "is seldom a person's wish and mostly a mistake: a policy that edge and ingest know in "
        "different versions, clocks that are off, leases that are not renewed.",
        look=(
            "The `reason`; docs/metrics.md says what each means.",
            "lease_expired, outside_period: is trust up, and does it reach the broker?",
            "from_the_future, too_old: the gateways' clocks.",
            "policy_exceeded: a policy changed, and gateways hold an older lease.",
        ),
        mend=("Mend what the reason names. What was refused is gone: it was not permitted.",),
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
        summary="Envelopes come from somebody who may not send, or are none.",
        meaning="The broker let somebody publish whom the vault does not know or has revoked, or "
        "whose certificate is over, or let an agent publish where it may not; or a gateway sends "
        "what is no envelope. None of it is stored.",
        look=(
            "unknown_agent: was a database restored that is older than the last enrolment?",
            "agent_revoked: the broker has not cut a gateway off, or lets it in again.",
            "agent_expired: a gateway is connected whose certificate is over; what it holds is "
            "stored once it is renewed.",
            "wrong_topic: is the broker's ACL the one of deploy/mosquitto/acl?",
            "The broker's log.",
        ),
        mend=(
            "Run `vitalveil doctor`: it checks the broker's ACL and its certificates.",
            "A gateway that was revoked and still sends: does the broker read the "
            "revocation list?",
            "One whose certificate is over: `vitalveil trust pki issue-agent`, and why did it not "
            "renew by itself?",
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
        summary="The database does not take what ingest has.",
        meaning="Transactions fail and are tried again, for minutes. Nothing is lost: the "
        "acknowledgements wait, the broker queues, gateways keep. But nothing is stored either.",
        look=(
            "The log: `flush_retried` names the cause from a closed list.",
            "The database: is it up, is its disk full, is it a replica after a fail-over?",
        ),
        mend=("Free the disk, or bring the server back. Ingest goes on by itself.",),
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
        "agent never does that: it never goes back to a spool that it left. Its certificate and "
        "keys are on two machines: a copied card, or a spare that was given the same bundle. "
        "Both are stored, as far as the handles of that gateway go.",
        look=(
            "Which gateway, as an administrator of the telemetry database: `SELECT agent FROM "
            "vv.envelopes WHERE stored_at > now() - interval '2 hours' GROUP BY agent HAVING "
            "count(DISTINCT spool_id) > 1`.",
            "At the gateway: it loses its connection again and again, because the broker keeps "
            "one of the two at a time.",
            "`vitalveil trust agent list`: `signs_of_a_clone` of the same gateway.",
        ),
        mend=(
            "Revoke it, and enrol the gateway again: `vitalveil trust pki revoke`.",
            "If the other one is a spare of your own: stop it, and enrol it as a gateway.",
        ),
        fires=World(
            {f'{_I}clone_signs_total{{sign="spools_in_turns"}}': "0x5 1x20"},
            10,
            {"sign": "spools_in_turns"},
        ),
        quiet=World({f'{_I}clone_signs_total{{sign="spools_in_turns"}}': "3x25"}, 10),
    ),
)
