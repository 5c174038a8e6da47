"""The Database dashboard: size, growth and contents."""

from typing import Final

from grafana.panels import Board, Kind, Panel, Query, Row, Sql

_I: Final = "vitalveil_ingest_"
_SCRAPED: Final = "no ingest process is scraped"

_SIZE: Final = Row(
    "Size",
    (
        Panel(
            title="Database",
            text="Size on disk, with indexes; without WAL.",
            unit="bytes",
            kind=Kind.STAT,
            width=5,
            height=6,
            queries=(Query(f"max({_I}database_bytes)"),),
            empty=_SCRAPED,
        ),
        Panel(
            title="Of its capacity",
            text="Against watch.database_capacity_bytes of ingest's settings.",
            unit="percentunit",
            kind=Kind.STAT,
            width=5,
            height=6,
            queries=(Query(f"max({_I}database_bytes) / max({_I}database_capacity_bytes)"),),
            empty="no capacity is configured",
            warn_at=0.7,
            bad_at=0.85,
        ),
        Panel(
            title="Size, and in a week",
            text="The size in 7 days, if it grows as in the last 6 hours.",
            unit="bytes",
            width=14,
            height=6,
            queries=(
                Query(f"max({_I}database_bytes)", "now"),
                Query(f"max(predict_linear({_I}database_bytes[6h], 7 * 86400))", "in 7 days"),
            ),
            empty=_SCRAPED,
        ),
    ),
)

_CONTENT: Final = Row(
    "Content",
    (
        Panel(
            title="Stores",
            text="Observations (partitions or chunks), their compressed twins, aggregates and the "
            "tables around them; rows in thousands, as the planner estimates. Once an hour.",
            unit="bytes",
            kind=Kind.TABLE,
            width=12,
            height=9,
            queries=(
                Sql(
                    "SELECT store, parts, bytes, rows_about FROM vv.ops_storage"
                    " ORDER BY bytes DESC"
                ),
            ),
            empty="the schema is not there: run `vitalveil ingest migrate`",
        ),
        Panel(
            title="Settled, by hour",
            text="Envelopes in the ledger, of the last 24 hours that have ended and in which 11 "
            "gateways or more sent; rounded down to a multiple of 11.",
            unit="short",
            width=12,
            height=9,
            queries=tuple(
                Sql(
                    f'SELECT bucket AS time, envelopes AS "{outcome}"'  # noqa: S608 - constants
                    f" FROM vv.ops_envelopes_hourly WHERE outcome = '{outcome}'"
                    " AND $__timeFilter(bucket) ORDER BY bucket"
                )
                for outcome in ("accepted", "refused", "quarantined")
            ),
            empty="fewer than 11 gateways sent in each of these hours",
        ),
        Panel(
            title="Ledger",
            text="Envelopes in the ledger, which is never deleted and makes every reading one "
            "row. An estimate.",
            unit="short",
            queries=(Query(f"max({_I}ledger_envelopes)", "envelopes"),),
            empty=_SCRAPED,
        ),
        Panel(
            title="Quarantine",
            text="Envelopes that an operator must decide on.",
            unit="short",
            queries=(Query(f"max({_I}quarantine_envelopes)", "envelopes"),),
            empty=_SCRAPED,
        ),
        Panel(
            title="Clock, against the database's",
            text="This machine's clock minus the database's. Consent is a matter of time: more "
            "than a second wants an NTP that works.",
            unit="s",
            decimals=3,
            queries=(
                Query(f"max({_I}clock_offset_seconds)", "most ahead"),
                Query(f"min({_I}clock_offset_seconds)", "most behind"),
            ),
            empty=_SCRAPED,
        ),
    ),
)

BOARD: Final = Board(
    uid="vitalveil-database",
    title="VitalVeil / Database",
    text="How large the telemetry database is, how fast it grows, and what it holds.",
    rows=(_SIZE, _CONTENT),
    since="now-24h",
    refresh="1m",
)
