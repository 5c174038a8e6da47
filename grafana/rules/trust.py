"""Alerts of the control plane."""

from typing import Final

from grafana.alerts import Alert, Severity, World

_T: Final = "vitalveil_trust_"

ALERTS: Final = (
    Alert(
        name="VitalVeilTrustDown",
        expr='up{job="vitalveil-trust"} == 0 or absent(up{job="vitalveil-trust"})',
        hold="5m",
        severity=Severity.CRITICAL,
        summary="Trust's daemon is down: leases are not renewed, withdrawals reach nobody.",
        meaning="A withdrawal by command still reaches the database, and ingest refuses. But "
        "gateways are not told, and stop only when their lease ends; then everybody's does.",
        look=(
            "The process: `systemctl status vitalveil-trust`.",
            "Its log: `out_of_reach` names what it does not reach.",
        ),
        mend=("Start it again. It does what is left by itself.",),
        fires=World(
            {'up{job="vitalveil-trust",instance="a"}': "1 1 0x20"},
            10,
            {"job": "vitalveil-trust", "instance": "a"},
        ),
        quiet=World({'up{job="vitalveil-trust",instance="a"}': "1 1 0 0 1x20"}, 10),
    ),
    Alert(
        name="VitalVeilWithdrawalNotApplied",
        expr=f"max({_T}unfinished_oldest_seconds) > 10",
        hold="1m",
        severity=Severity.CRITICAL,
        summary="A decision is not in force: the telemetry database does not have it.",
        meaning="The vault says what a person decided, and the telemetry database does not know "
        "it, for longer than a command and a repair take. If it is a withdrawal, rows may be "
        "stored against it.",
        look=(
            "Does trust reach the telemetry database? `vitalveil_trust_connected`.",
            "*Records that do not verify* on the Privacy dashboard: trust leaves these alone.",
        ),
        mend=(
            "Bring the telemetry database back; trust's daemon finishes within seconds.",
            "If it cannot be soon: stop ingest. Gateways keep what they measure.",
        ),
        fires=World({f"{_T}unfinished_oldest_seconds": "0x5 30+60x20"}, 10),
        quiet=World({f"{_T}unfinished_oldest_seconds": "0x5 30 0x20"}, 10),
    ),
    Alert(
        name="VitalVeilGatewayNotCut",
        expr=f"max({_T}uncut_agents) > 0",
        hold="5m",
        severity=Severity.WARNING,
        summary="A revoked gateway may still be connected to the broker.",
        meaning="Nothing that it sends is stored: ingest refuses it. But the broker has not been "
        "seen to keep it out and to end its connection, so it may fill queues.",
        look=(
            "`vitalveil trust unit list`: why the job `cutoff`, or a gateway in it, failed, and "
            "what to do.",
            "Was the broker told to read its revocation list (SIGHUP)?",
            "`vitalveil trust agent list`: `may_be_connected`.",
        ),
        mend=(
            "Set `certificates.crl_file` to the file that the broker reads, and "
            "`certificates.reload_command` to what has it read that again; where trust cannot "
            "tell the broker, do it by hand. The daemon tries each half minute.",
        ),
        fires=World({f"{_T}uncut_agents": "1x30"}, 20),
        quiet=World({f"{_T}uncut_agents": "0 1 1 0x30"}, 20),
    ),
    Alert(
        name="VitalVeilCloneSuspected",
        expr=f"max({_T}suspected_clones) > 0",
        severity=Severity.CRITICAL,
        summary="Two seem to use the identity of one gateway.",
        meaning="A certificate was renewed, and then shown again with another key: a card was "
        "copied, or put back from an image. The second was refused; the first has a new "
        "certificate, and which of the two is the copy cannot be told from here.",
        look=(
            "`vitalveil trust agent list`: `signs_of_a_clone`.",
            "At the gateway: `vitalveil agent renew`. If it is refused, the other one is ahead.",
        ),
        mend=(
            "Revoke it, and enrol the gateway again: `vitalveil trust pki revoke`.",
            "If its card was put back from an image by yourself, give it a new certificate "
            "(`vitalveil trust pki issue-agent`), then `vitalveil trust agent vouch`.",
        ),
        fires=World({f"{_T}suspected_clones": "0 1x20"}, 10),
        quiet=World({f"{_T}suspected_clones": "0x20"}, 10),
    ),
    Alert(
        name="VitalVeilLeasesLate",
        expr=f"max({_T}overdue_leases) > 0 or max({_T}unpublished_leases) > 0",
        hold="10m",
        severity=Severity.WARNING,
        summary="Leases are not renewed, or do not reach the broker.",
        meaning="A gateway whose lease ends stops measuring. Leases are renewed at half of their "
        "life, so there is time, but not for ever.",
        look=("Trust's log: `out_of_reach` and what; `tampered`.",),
        mend=(
            "Bring back what it does not reach.",
            "The broker's ACL must let `trust` write `vv1/lease/+`.",
        ),
        fires=World({f"{_T}overdue_leases": "3x30", f"{_T}unpublished_leases": "0x30"}, 20),
        quiet=World({f"{_T}overdue_leases": "0x30", f"{_T}unpublished_leases": "0x30"}, 20),
    ),
    Alert(
        name="VitalVeilTampered",
        expr=f"max({_T}tampered_agents) > 0 or max({_T}missing_decisions) > 0",
        severity=Severity.CRITICAL,
        summary="A record of the vault is not what was signed, or is not there any more.",
        meaning="A decision, a purpose or a handle does not verify. Somebody wrote to the vault "
        "past trust, or it was restored together with keys of another time. Who is "
        "concerned is in no lease from then on, and nothing new is permitted. Or a decision that "
        "was there is missing: it was deleted, or the vault is older than the telemetry database. "
        "Who decided it is not measured until it is entered again.",
        look=(
            "`vitalveil trust audit` names whose decisions are missing, or do not verify.",
            "Was a backup restored? With which keys?",
            "Who can write to the vault: `vitalveil doctor` lists roles with a grant too many.",
        ),
        mend=(
            "Treat it as an attack until it is explained: keep the database, the "
            "WAL and the logs.",
            "Tell the DPO.",
        ),
        fires=World({f"{_T}tampered_agents": "0x10", f"{_T}missing_decisions": "0x5 1x5"}, 8),
        quiet=World({f"{_T}tampered_agents": "0x10", f"{_T}missing_decisions": "0x10"}, 8),
    ),
    Alert(
        name="VitalVeilUnitSetAside",
        expr=f"max by (kind, cause) ({_T}set_aside_units) > 0",
        hold="5m",
        severity=Severity.WARNING,
        summary="Trust has set a gateway, person, purpose, key, export or job aside.",
        meaning="Each is worked on alone. What is set aside failed for a cause of its own, which "
        "the label names: a key that is none, a lease that is too large, a file that is missing. "
        "Everything else goes on, and it is tried again, at the latest after five minutes. Until "
        "then a gateway has no new lease, a person is in none or a job is not done. What a person "
        "withdrew is ended in any case, unless VitalVeilWithdrawalNotApplied says otherwise.",
        look=(
            "`vitalveil trust unit list` names each with its cause, since when, and what to do.",
            "`vitalveil doctor --trust trust.toml` says the same, and looks at the keys.",
            "Trust's log: `unit_failed` with kind and cause; `unforeseen` with an error's type.",
        ),
        mend=(
            "Do what the list says; then `vitalveil trust unit retry` tries all of them at once.",
            "One cause for everybody is not theirs: look at keys, databases and the broker first.",
        ),
        fires=World(
            {f'{_T}set_aside_units{{kind="gateway",cause="lease_key"}}': "0x5 1x20"},
            15,
            {"kind": "gateway", "cause": "lease_key"},
        ),
        quiet=World(
            {f'{_T}set_aside_units{{kind="gateway",cause="lease_key"}}': "0 1 1 0x20"}, 15
        ),
    ),
    Alert(
        name="VitalVeilErasureOverdue",
        expr=f"max({_T}erasure_oldest_seconds) > 86400",
        severity=Severity.CRITICAL,
        summary="An erasure was begun a day ago and is not finished.",
        meaning="What a person had stored about her is partly gone and partly there. Each step "
        "may be done twice, and is noted once it is done: the procedure goes on where it stopped.",
        look=(
            "Trust's log: which store does it not reach?",
            "A gateway that never acknowledges: is it off-line?",
        ),
        mend=(
            "Run `vitalveil trust erase` for the same subject again: it goes on.",
            "`vitalveil trust erase verify` says what is left, and where.",
        ),
        fires=World({f"{_T}erasure_oldest_seconds": "86000+60x30"}, 20),
        quiet=World({f"{_T}erasure_oldest_seconds": "80000+60x30"}, 20),
    ),
    Alert(
        name="VitalVeilErasedDataFound",
        expr=f"increase({_T}erased_again_total[1h]) > 0",
        severity=Severity.CRITICAL,
        summary="Data of a person who was erased were there again, and were erased again.",
        meaning="A backup was restored, as a whole or in part, or a table that was detached came "
        "back. Trust recognised what is of people who were erased, and erased it again; whoever "
        "read the database meanwhile may have seen it.",
        look=(
            "Trust's log: `erased_data_found` has the number of the erasure, and where.",
            "`vitalveil trust erase certificate NUMBER` lists what was found again.",
            "Who restored what, and from when is the backup?",
        ),
        mend=(
            "Tell the DPO: it may be a breach (GDPR art. 33).",
            "Restore the whole of what belongs together (docs/howto/restore-a-backup.md), or "
            "nothing of it.",
        ),
        fires=World({f"{_T}erased_again_total": "0x5 1x30"}, 10),
        quiet=World({f"{_T}erased_again_total": "3x40"}, 10),
    ),
    Alert(
        name="VitalVeilErasuresUnsettled",
        expr=f"max({_T}unsettled_erasures) > 0 or max({_T}unverified_tables) > 0"
        f" or max({_T}unknown_series) > 0"
        f' or time() - max({_T}maintained_timestamp_seconds{{what="erasures_verified"}}) > 86400',
        hold="15m",
        severity=Severity.WARNING,
        summary="Erasures could not be verified, or not all of what was found is settled.",
        meaning="Trust looks round after round whether something that was erased is there again. "
        "`failed`: it was found and could not be erased. `not_rewritten`: it is erased, and the "
        "files keep it because somebody may still read it. `tampered`: the record of an erasure "
        "does not verify. Unverified tables belong to another owner, or are damaged. Unknown "
        "series are rows that no name leads to: perhaps `vv.series` was lost.",
        look=(
            "`vitalveil trust erase verify` says which erasure, and where.",
            "Trust's log: `not_rewritten` says what holds it, `not_erased_again` the error.",
            "`pg_stat_activity`, `pg_prepared_xacts` and `pg_replication_slots` of the server.",
        ),
        mend=(
            "End what holds it: the transaction, the prepared transaction, or drop the slot. The "
            "next round rewrites the files.",
            "Give tables that hold series back to vv_owner, or drop them.",
            "Restore names before rows: rows without names are kept for you, and shown to nobody.",
        ),
        fires=World({f'{_T}unsettled_erasures{{state="not_rewritten"}}': "0x5 1x40"}, 30),
        quiet=World(
            {
                f'{_T}unsettled_erasures{{state="not_rewritten"}}': "0x5 1x5 0x40",
                f'{_T}maintained_timestamp_seconds{{what="erasures_verified"}}': "0+60x60",
            },
            30,
        ),
    ),
    Alert(
        name="VitalVeilErasureLedgerFile",
        expr=f'max({_T}erasure_ledger_file{{state!~"complete|not_configured"}}) > 0'
        f" or increase({_T}erasure_ledger_file_repaired_total[1h]) > 0",
        severity=Severity.CRITICAL,
        summary="The file of the erasure ledger lacks erasures, or cannot be used.",
        meaning="After a restore of the vault the file tells who was erased. It was deleted, "
        "cut short, replaced by an older copy, or is out of reach. Where the vault knows all of "
        "them, trust has written them again; `lost` means that neither knows all, and a database "
        "that is started stays closed to ingest until the file is back.",
        look=(
            "`vitalveil trust erase verify` and `vitalveil doctor --trust` name its state.",
            "Who can write to its folder? Is the disk full?",
            "Was the vault restored from a backup lately?",
        ),
        mend=(
            "`unreadable`, `unwritable`: let trust read and write it, or make room.",
            "`lost`: put the newest copy of the file back, then `vitalveil trust erase replay`.",
            "If there is none: tell the DPO. Compare `vv.erasures` and the certificates that were "
            "given with the vault, erase these people again, then delete the file's `.count` and "
            "the numbers of `vv.erasures` that the vault does not know.",
        ),
        fires=World({f'{_T}erasure_ledger_file{{state="missing"}}': "0x5 1x5"}, 8),
        quiet=World({f'{_T}erasure_ledger_file{{state="complete"}}': "1x10"}, 8),
    ),
    Alert(
        name="VitalVeilRequestOverdue",
        expr=f'max({_T}requests{{state="overdue"}}) > 0',
        severity=Severity.CRITICAL,
        summary="A request of a person is past its date.",
        meaning="The GDPR gives a month, and two more if the person is told why (art. 12.3). The "
        "date has passed.",
        look=("`vitalveil trust request list`: the one due first stands first.",),
        mend=("Answer it (docs/howto/answer-an-access-request.md), and tell the DPO.",),
        fires=World({f'{_T}requests{{state="overdue"}}': "0x5 1x5"}, 8),
        quiet=World({f'{_T}requests{{state="open"}}': "0x5 1x5"}, 8),
    ),
    Alert(
        name="VitalVeilRetentionLate",
        expr=f'time() - max({_T}maintained_timestamp_seconds{{what="retained"}}) > 2 * 86400'
        f' or time() - max({_T}maintained_timestamp_seconds{{what="rolled_up"}}) > 3600',
        hold="10m",
        severity=Severity.WARNING,
        summary="Retention was not run for two days, or aggregates for an hour.",
        meaning="Trust's daemon deletes what its purpose needs no longer, once a day, and rolls "
        "up and publishes figures each minute. It could not, or nobody does it.",
        look=("Trust's log: `not_maintained` names the type of the error.",),
        mend=("`vitalveil trust retention run` does it now, and says what is wrong.",),
        fires=World({f'{_T}maintained_timestamp_seconds{{what="rolled_up"}}': "0x200"}, 90),
        quiet=World({f'{_T}maintained_timestamp_seconds{{what="rolled_up"}}': "0+60x200"}, 90),
    ),
    Alert(
        name="VitalVeilSessionsUnwatched",
        expr=f'time() - max({_T}maintained_timestamp_seconds{{what="limited"}}) > 60',
        hold="1m",
        severity=Severity.WARNING,
        summary="Sessions of people's and dashboards' roles are not held to their limits.",
        meaning="Trust's daemon ends sessions of vv_reader and vv_grafana that run a statement or "
        "hold a transaction for 5 seconds. It has not looked for a minute, so that one of them "
        "can burn a processor, or keep what an erasure has to rewrite.",
        look=(
            "Trust's log: `sessions_not_limited` names the cause.",
            "`vitalveil doctor`: vv_owner must be a member of both roles.",
        ),
        mend=(
            "Bring the telemetry database back, and run `vitalveil ingest migrate`.",
            "As a superuser: GRANT vv_reader, vv_grafana TO vv_owner.",
        ),
        fires=World({f'{_T}maintained_timestamp_seconds{{what="limited"}}': "0x20"}, 5),
        quiet=World({f'{_T}maintained_timestamp_seconds{{what="limited"}}': "0+60x20"}, 10),
    ),
    Alert(
        name="VitalVeilSessionsEnded",
        expr=f"sum(increase({_T}ended_sessions_total[10m])) > 20",
        hold="1m",
        severity=Severity.WARNING,
        summary="Many sessions of people's and dashboards' roles are ended at their limits.",
        meaning="More than 20 in ten minutes: a panel whose statement takes too long, or somebody "
        "who uses a dashboard's role to keep the database busy. Each costs a processor for up to "
        "5 seconds.",
        look=(
            "The causes: `vitalveil_trust_ended_sessions_total`.",
            "Who logs in: log_connections and the role's addresses in pg_hba.conf.",
        ),
        mend=(
            "Change the panel: all views are small.",
            "Or give the role another password, and admit it from Grafana's address alone.",
        ),
        fires=World({f'{_T}ended_sessions_total{{cause="statement"}}': "0+10x20"}, 15),
        quiet=World({f'{_T}ended_sessions_total{{cause="statement"}}': "0+1x20"}, 15),
    ),
)
