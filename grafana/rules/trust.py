"""Alerts on the control plane."""

from typing import Final

from grafana.alerts import Alert, Severity, World

_T: Final = "vitalveil_trust_"

ALERTS: Final = (
    Alert(
        name="VitalVeilTrustDown",
        expr='up{job="vitalveil-trust"} == 0 or absent(up{job="vitalveil-trust"})',
        hold="5m",
        severity=Severity.CRITICAL,
        summary="Trust's daemon is down: leases are not renewed, and withdrawals do not reach "
        "gateways.",
        meaning="A withdrawal by command still reaches the database, and ingest refuses its "
        "rows. But gateways are not told, and only stop when their lease ends. Without "
        "a daemon, the leases of all gateways end.",
        look=(
            "The process: `systemctl status vitalveil-trust`.",
            "Its log: `out_of_reach` names what it cannot reach.",
        ),
        remedy=("Start it again. It completes unfinished work without further commands.",),
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
        meaning="The vault holds a person's decision that the telemetry database has not "
        "received, for longer than a command and a repair take. If it is a withdrawal, "
        "rows may be stored against it.",
        look=(
            "Does trust reach the telemetry database? `vitalveil_trust_connected`.",
            "*Records that do not verify* on the Privacy dashboard: trust does not apply these.",
        ),
        remedy=(
            "Repair the telemetry database; trust's daemon then finishes within seconds.",
            "If that takes longer: stop ingest. Gateways keep what they measure.",
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
        meaning="Nothing that it sends is stored, because ingest refuses it. But trust could "
        "not confirm that the broker has refused it and closed its connection, so that "
        "it may fill queues.",
        look=(
            "`vitalveil trust unit list`: why the job `cutoff`, or a gateway in it, failed, and "
            "what to do.",
            "Was the broker told to read its revocation list (SIGHUP)?",
            "`vitalveil trust agent list`: `may_be_connected`.",
        ),
        remedy=(
            "Set `certificates.crl_file` to the file that the broker reads, and "
            "`certificates.reload_command` to the command that has the broker read it "
            "again. Where trust cannot reach the broker, do both by hand. The daemon tries "
            "every half minute.",
        ),
        fires=World({f"{_T}uncut_agents": "1x30"}, 20),
        quiet=World({f"{_T}uncut_agents": "0 1 1 0x30"}, 20),
    ),
    Alert(
        name="VitalVeilCloneSuspected",
        expr=f"max({_T}suspected_clones) > 0",
        severity=Severity.CRITICAL,
        summary="Two machines seem to use the identity of one gateway.",
        meaning="A certificate was renewed, and then used again with another key: a card was "
        "copied, or restored from an image. The second machine was refused; the first "
        "one has a new certificate. Trust cannot tell which of the two is the copy.",
        look=(
            "`vitalveil trust agent list`: `signs_of_a_clone`.",
            "At the gateway: `vitalveil agent renew`. If it is refused, the other machine "
            "has the new certificate.",
        ),
        remedy=(
            "Revoke it, and enrol the gateway again: `vitalveil trust pki revoke`.",
            "If you restored its card from an image: give it a new certificate (`vitalveil "
            "trust pki issue-agent`), then run `vitalveil trust agent vouch`.",
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
        meaning="A gateway whose lease ends stops measuring. Leases are renewed at half of "
        "their life, so that there is some time left.",
        look=("Trust's log: `out_of_reach` with what it cannot reach; `tampered`.",),
        remedy=(
            "Repair what trust cannot reach.",
            "The broker's ACL must let `trust` write `vv1/lease/+`.",
        ),
        fires=World({f"{_T}overdue_leases": "3x30", f"{_T}unpublished_leases": "0x30"}, 20),
        quiet=World({f"{_T}overdue_leases": "0x30", f"{_T}unpublished_leases": "0x30"}, 20),
    ),
    Alert(
        name="VitalVeilTampered",
        expr=f"max({_T}tampered_agents) > 0 or max({_T}missing_decisions) > 0",
        severity=Severity.CRITICAL,
        summary="A record of the vault differs from what was signed, or is missing.",
        meaning="A decision, a purpose or a handle does not verify. Either the vault was "
        "written to without trust, or it was restored together with keys of another "
        "time. The person concerned is removed from all leases, and nothing new is "
        "permitted. Or a decision is missing: it was deleted, or the vault is older "
        "than the telemetry database. The person who made it is not measured until it "
        "is entered again.",
        look=(
            "`vitalveil trust audit` names the people whose decisions are missing or do not"
            " verify.",
            "Was a backup restored? With which keys?",
            "Who can write to the vault? `vitalveil doctor` lists roles with a grant too many.",
        ),
        remedy=(
            "Treat it as an attack until it is explained: keep the database, the WAL and "
            "the logs.",
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
        meaning="Each unit is processed alone. A unit that is set aside failed for a cause of "
        "its own, which the label names: an unusable key, a lease that is too large, a "
        "missing file. All other units continue, and this one is tried again at the "
        "latest after five minutes. Until then a gateway gets no new lease, a person is"
        " in no new lease, or a job is not done. Withdrawals take effect in any case, "
        "unless VitalVeilWithdrawalNotApplied fires.",
        look=(
            "`vitalveil trust unit list` names each unit with its cause, since when, and "
            "what to do.",
            "`vitalveil doctor --trust trust.toml` shows the same, and checks the keys.",
            "Trust's log: `unit_failed` with kind and cause; `unforeseen` with the type of "
            "an error.",
        ),
        remedy=(
            "Follow the list; then `vitalveil trust unit retry` tries all units again.",
            "If all units have the same cause, check keys, databases and the broker first.",
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
        summary="An erasure was started a day ago and is not finished.",
        meaning="The stored data of a person are partly erased. Each step can be repeated, and "
        "is recorded when it is done, so that the procedure continues where it stopped.",
        look=(
            "Trust's log: which store can it not reach?",
            "A gateway that does not acknowledge: is it off-line?",
        ),
        remedy=(
            "Run `vitalveil trust erase` for the same subject again: it continues.",
            "`vitalveil trust erase verify` lists what is left, and where.",
        ),
        fires=World({f"{_T}erasure_oldest_seconds": "86000+60x30"}, 20),
        quiet=World({f"{_T}erasure_oldest_seconds": "80000+60x30"}, 20),
    ),
    Alert(
        name="VitalVeilErasedDataFound",
        expr=f"increase({_T}erased_again_total[1h]) > 0",
        severity=Severity.CRITICAL,
        summary="Data of an erased person were found again, and erased again.",
        meaning="A backup was restored, as a whole or in part, or a detached table was attached"
        " again. Trust recognised the data of erased people and erased them again. "
        "Until then, users of the database may have seen them.",
        look=(
            "Trust's log: `erased_data_found` gives the number of the erasure and the place.",
            "`vitalveil trust erase certificate NUMBER` lists what was found.",
            "What was restored, by whom, and how old is the backup?",
        ),
        remedy=(
            "Tell the DPO: it may be a breach (GDPR art. 33).",
            "Restore everything that belongs together (docs/howto/restore-a-backup.md), or "
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
        summary="Erasures could not be verified, or erased data that returned could not be "
        "removed.",
        meaning="Trust checks in rounds whether erased data have returned. `failed`: data were "
        "found and could not be erased. `not_rewritten`: data are erased, but the files"
        " still hold them, because a transaction may still read them. `tampered`: the "
        "record of an erasure does not verify. Unverified tables belong to another "
        "owner, or are damaged. Unknown series are rows without a name in `vv.series`, "
        "which may have been lost.",
        look=(
            "`vitalveil trust erase verify` names the erasure and the place.",
            "Trust's log: `not_rewritten` names what blocks the rewrite, `not_erased_again`"
            " the error.",
            "`pg_stat_activity`, `pg_prepared_xacts` and `pg_replication_slots` of the server.",
        ),
        remedy=(
            "End the transaction or the prepared transaction, or drop the slot, that blocks"
            " the rewrite. The next round rewrites the files.",
            "Give tables with series back to vv_owner, or drop them.",
            "Restore names before rows: rows without names are kept, and not shown in any view.",
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
        meaning="After a restore of the vault, the file tells who was erased. It was deleted, "
        "truncated, replaced by an older copy, or cannot be reached. If the vault knows"
        " all erasures, trust has written them again. `lost` means that neither the "
        "vault nor the file has all of them: a database that is started stays closed to"
        " ingest until the file is restored.",
        look=(
            "`vitalveil trust erase verify` and `vitalveil doctor --trust` show its state.",
            "Who can write to its folder? Is the disk full?",
            "Was the vault restored from a backup lately?",
        ),
        remedy=(
            "`unreadable`, `unwritable`: let trust read and write the file, or make room.",
            "`lost`: restore the newest copy of the file, then run `vitalveil trust erase "
            "replay`.",
            "If there is no copy: tell the DPO. Compare `vv.erasures` and the certificates "
            "that were issued with the vault, erase these people again, then delete the "
            "`.count` of the file and the numbers of `vv.erasures` that the vault does not "
            "know.",
        ),
        fires=World({f'{_T}erasure_ledger_file{{state="missing"}}': "0x5 1x5"}, 8),
        quiet=World({f'{_T}erasure_ledger_file{{state="complete"}}': "1x10"}, 8),
    ),
    Alert(
        name="VitalVeilRequestOverdue",
        expr=f'max({_T}requests{{state="overdue"}}) > 0',
        severity=Severity.CRITICAL,
        summary="A person's request is overdue.",
        meaning="The GDPR allows a month, and two more if the person is told why (art. 12.3). "
        "The date has passed.",
        look=("`vitalveil trust request list`: the request that is due first is on top.",),
        remedy=("Answer it (docs/howto/answer-an-access-request.md), and tell the DPO.",),
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
        meaning="Trust's daemon deletes, once a day, what its purpose does not need any more; "
        "each minute it updates aggregates and publishes figures. It failed, or no "
        "daemon runs.",
        look=("Trust's log: `not_maintained` names the type of the error.",),
        remedy=("`vitalveil trust retention run` does it now, and shows the error.",),
        fires=World({f'{_T}maintained_timestamp_seconds{{what="rolled_up"}}': "0x200"}, 90),
        quiet=World({f'{_T}maintained_timestamp_seconds{{what="rolled_up"}}': "0+60x200"}, 90),
    ),
    Alert(
        name="VitalVeilSessionsUnwatched",
        expr=f'time() - max({_T}maintained_timestamp_seconds{{what="limited"}}) > 60',
        hold="1m",
        severity=Severity.WARNING,
        summary="The limits of sessions of readers and dashboards are not enforced.",
        meaning="Trust's daemon ends sessions of vv_reader and vv_grafana that run a statement "
        "or hold a transaction for more than 5 seconds. It has not checked for a "
        "minute, so that such a session can occupy a processor, or keep files that an "
        "erasure must rewrite.",
        look=(
            "Trust's log: `sessions_not_limited` names the cause.",
            "`vitalveil doctor`: vv_owner must be a member of both roles.",
        ),
        remedy=(
            "Repair the telemetry database, and run `vitalveil ingest migrate`.",
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
        summary="Many sessions of readers and dashboards are ended at their limits.",
        meaning="More than 20 sessions in ten minutes: a panel whose statement takes too long, "
        "or someone who uses the role of a dashboard to keep the database busy. Each "
        "session costs a processor for up to 5 seconds.",
        look=(
            "The causes: `vitalveil_trust_ended_sessions_total`.",
            "Who logs in: log_connections, and the addresses of the role in pg_hba.conf.",
        ),
        remedy=(
            "Change the panel; statements on the provided views are fast.",
            "Or change the password of the role, and only admit it from Grafana's address.",
        ),
        fires=World({f'{_T}ended_sessions_total{{cause="statement"}}': "0+10x20"}, 15),
        quiet=World({f'{_T}ended_sessions_total{{cause="statement"}}': "0+1x20"}, 15),
    ),
)
