"""The Privacy dashboard: the figures that a DPO needs, without any person in them."""

from typing import Final

from grafana.panels import Board, Kind, Panel, Query, Row, Sql

_I: Final = "vitalveil_ingest_"
_T: Final = "vitalveil_trust_"
_SCRAPED: Final = "no trust process is scraped"


def _count(title: str, text: str, query: Query | Sql, *, empty: str, width: int = 4) -> Panel:
    return Panel(
        title=title,
        text=text,
        unit="short",
        kind=Kind.STAT,
        width=width,
        height=5,
        queries=(query,),
        empty=empty,
    )


_PERMISSIONS: Final = Row(
    "Permissions",
    (
        _count(
            "In force",
            "Permissions under which rows may be stored now: one for each person, gateway and "
            "quantity, whatever the number of sensors. Rounded down to a multiple of 11, once "
            "an hour.",
            Sql("SELECT in_force FROM vv.ops_permissions"),
            empty="no permission was ever given",
        ),
        _count(
            "Withdrawn, ever",
            "Permissions that a withdrawal ended. A withdrawn handle never comes back. Rounded "
            "down to a multiple of 11, once an hour.",
            Sql("SELECT withdrawn FROM vv.ops_permissions"),
            empty="no permission was ever given",
        ),
        _count(
            "People",
            "Subjects in the vault, whether measured or not.",
            Query(f"max({_T}subjects)"),
            empty=_SCRAPED,
        ),
        _count(
            "Measured at a gateway",
            "One for each person, purpose and gateway, while a sensor is bound.",
            Query(f'max({_T}handles{{state="active"}})'),
            empty=_SCRAPED,
        ),
        Panel(
            title="Epoch: known, and true",
            text="Each change of permissions is an epoch. The two lines are equal, unless an "
            "ingest process does not receive changes; it then refuses to commit until it "
            "does.",
            unit="none",
            height=5,
            queries=(
                Query(f"min({_I}permissions_epoch)", "known to every ingest"),
                Query(f"max({_I}permissions_gate_epoch)", "in the database"),
            ),
            empty="no ingest process is scraped",
        ),
    ),
)

_EFFECT: Final = Row(
    "How fast a withdrawal takes effect",
    (
        Panel(
            title="Decided and not yet in force, oldest",
            text="Age of the oldest decision that the telemetry database has not received. "
            "More than a few seconds is an incident: rows may be stored against a "
            "withdrawal.",
            unit="s",
            kind=Kind.STAT,
            width=6,
            queries=(Query(f"max({_T}unfinished_oldest_seconds)"),),
            empty=_SCRAPED,
            warn_at=5,
            bad_at=10,
        ),
        Panel(
            title="From a lease's issue to a gateway obeying it",
            text="The time from a withdrawal until gateways stop listening to the sensors. "
            "Gateways that were off-line obey when they return, or when their lease ends.",
            unit="s",
            width=10,
            queries=tuple(
                Query(
                    f"histogram_quantile({q}, sum by (le) (increase("
                    f"{_I}fleet_lease_propagation_seconds_bucket[1h])))",
                    f"p{q * 100:g}",
                )
                for q in (0.5, 0.99)
            ),
            empty="no lease changed in this hour",
        ),
        Panel(
            title="Stopped after a withdrawal",
            text="Observations after a withdrawal that were refused, at the gateway and by "
            "ingest. A withdrawal is complete when both have fallen to 0.",
            unit="ops",
            queries=(
                Query(
                    f"max(rate({_I}fleet_refused_measurements_total"
                    '{reason="withdrawn"}[$__rate_interval]))',
                    "at gateways",
                ),
                Query(
                    f'sum(rate({_I}refused_observations_total{{reason="withdrawn"}}'
                    "[$__rate_interval]))",
                    "by ingest",
                ),
            ),
            empty="no ingest process is scraped",
        ),
    ),
)

_MINIMISED: Final = Row(
    "Minimisation and refusals",
    (
        Panel(
            title="Refused by ingest, by reason, last day",
            text="Observations that no permission covered, or that were finer than the purpose "
            "needs (policy_exceeded).",
            unit="short",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum by (reason) (increase({_I}refused_observations_total[1d])) > 0",
                    "{{reason}}",
                ),
            ),
            empty="nothing was refused",
        ),
        Panel(
            title="Kept at the edge, last day",
            text="Measurements that did not leave the home, because the purpose does not "
            "need them.",
            unit="short",
            kind=Kind.BARS,
            queries=(
                Query(
                    f'max(increase({_I}fleet_measurements_total{{outcome="coarsened"}}[1d]))',
                    "coarsened",
                ),
                Query(
                    f"max(increase({_I}fleet_refused_measurements_total"
                    '{reason="not_allowed"}[1d]))',
                    "not allowed",
                ),
            ),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Quarantine",
            text="Envelopes that could neither be stored nor refused with certainty: still "
            "sealed, and deleted when they expire. Reasons with 11 envelopes or more, "
            "updated once an hour.",
            unit="short",
            kind=Kind.TABLE,
            queries=(
                Sql(
                    "SELECT reason, envelopes, oldest_received_at, next_expires_at"
                    " FROM vv.ops_quarantine ORDER BY envelopes DESC"
                ),
            ),
            empty="fewer than 11 envelopes of each reason",
        ),
    ),
)

_LEASES: Final = Row(
    "Leases and certificates",
    (
        Panel(
            title="Leases late",
            text="overdue: not renewed 2 minutes after they were due. unpublished: the broker "
            "does not have them. Gateways measure until their lease ends, then stop.",
            unit="short",
            queries=(
                Query(f"max({_T}overdue_leases)", "overdue"),
                Query(f"max({_T}unpublished_leases)", "unpublished"),
            ),
            empty=_SCRAPED,
        ),
        Panel(
            title="Records that do not verify",
            text="Gateways that get no new leases, because a record of theirs in the vault "
            "differs from what was signed. Anything but 0 is an attack, or a failed "
            "restore.",
            unit="short",
            kind=Kind.STAT,
            width=4,
            queries=(Query(f"max({_T}tampered_agents)"),),
            empty=_SCRAPED,
            bad_at=1,
        ),
        Panel(
            title="Gateways in the vault",
            text="Enrolled, and revoked for good.",
            unit="short",
            width=6,
            queries=(
                Query(f'max({_T}agents{{state="enrolled"}})', "enrolled"),
                Query(f'max({_T}agents{{state="revoked"}})', "revoked"),
            ),
            empty=_SCRAPED,
        ),
        Panel(
            title="Certificates of gateways that end in 30 days",
            text="Gateways renew them without an operator; those that stay here do not reach "
            "trust.",
            unit="short",
            kind=Kind.STAT,
            width=6,
            queries=(Query(f"max({_T}ending_certificates)"),),
            empty=_SCRAPED,
            warn_at=1,
        ),
    ),
)

_RIGHTS: Final = Row(
    "Rights",
    (
        Panel(
            title="Erasures",
            text="Erasures that were started and are not finished, and those that are finished"
            " with a signed certificate.",
            unit="short",
            queries=(
                Query(f'max({_T}erasures{{state="unfinished"}})', "unfinished"),
                Query(f'max({_T}erasures{{state="certified"}})', "certified"),
            ),
            empty=_SCRAPED,
        ),
        Panel(
            title="Oldest unfinished erasure",
            text="An erasure takes minutes; it waits for gateways that are off-line. After a day "
            "the alert VitalVeilErasureOverdue fires.",
            unit="s",
            kind=Kind.STAT,
            width=4,
            queries=(Query(f"max({_T}erasure_oldest_seconds)"),),
            empty=_SCRAPED,
            warn_at=3600,
            bad_at=86400,
        ),
        Panel(
            title="Requests",
            text="Open requests under the GDPR; overdue ones are past their date.",
            unit="short",
            width=6,
            queries=(
                Query(f'max({_T}requests{{state="open"}})', "open"),
                Query(f'max({_T}requests{{state="overdue"}})', "overdue"),
            ),
            empty=_SCRAPED,
        ),
        Panel(
            title="Since retention was last run",
            text="Retention runs once a day. Before the first run, the time since the start of"
            " the daemon.",
            unit="s",
            kind=Kind.STAT,
            width=6,
            queries=(Query(f'time() - max({_T}maintained_timestamp_seconds{{what="retained"}})'),),
            empty=_SCRAPED,
            warn_at=100_000,
            bad_at=172_800,
        ),
    ),
)

BOARD: Final = Board(
    uid="vitalveil-privacy",
    title="VitalVeil / Privacy",
    text="The figures that a data protection officer needs: what may be stored, what "
    "was refused, how fast a withdrawal took effect. Nothing here is about a "
    "single person.",
    rows=(_PERMISSIONS, _EFFECT, _RIGHTS, _MINIMISED, _LEASES),
    since="now-24h",
    refresh="1m",
)
