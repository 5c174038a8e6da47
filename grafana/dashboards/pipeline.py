"""The Pipeline dashboard: throughput and latency of ingest."""

from typing import Final

from grafana.panels import BLUE, RED, Board, Kind, Panel, Query, Row

_I: Final = "vitalveil_ingest_"
_LATE: Final = f"sum by (le) (rate({_I}measured_to_queryable_seconds_bucket[$__rate_interval]))"


def _rate(metric: str, by: str = "") -> str:
    return f"sum{by} (rate({_I}{metric}[$__rate_interval]))"


_NOW: Final = Row(
    "Now",
    (
        Panel(
            title="Connected",
            text="Whether every ingest process reaches the broker, the database and the "
            "permissions. A process that does not stores nothing and loses nothing, "
            "because gateways keep their envelopes.",
            unit="none",
            kind=Kind.STAT,
            width=6,
            height=5,
            queries=(Query(f"min by (to) ({_I}connected)", "{{to}}"),),
            empty="no ingest process is scraped",
            words=(("0", "away", RED), ("1", "connected", BLUE)),
        ),
        Panel(
            title="Stored",
            text="Observations committed in each second, over all ingest processes.",
            unit="ops",
            kind=Kind.STAT,
            width=4,
            height=5,
            decimals=1,
            queries=(Query(_rate('observations_total{outcome="stored"}')),),
            empty="nothing is scraped",
        ),
        Panel(
            title="Measured to queryable, p99",
            text="From the newest observation of a block being measured to its COMMIT. Includes "
            "the time that gateways collect before they send, and their time off-line.",
            unit="s",
            kind=Kind.STAT,
            width=5,
            height=5,
            decimals=2,
            queries=(Query(f"histogram_quantile(0.99, {_LATE})"),),
            empty="nothing stored lately",
            warn_at=60,
            bad_at=300,
        ),
        Panel(
            title="In flight",
            text="Envelopes received and not settled. Grows when the database is slow, up to the "
            "window; then the broker waits.",
            unit="short",
            kind=Kind.STAT,
            width=4,
            height=5,
            queries=(Query(f"sum({_I}in_flight_envelopes)"),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Unaccounted for",
            text="Received, less stored, duplicate, refused, quarantined, abandoned and in "
            "flight. Anything but 0 for minutes is a broken promise: see the runbook "
            "VitalVeilConservationBroken.",
            unit="short",
            kind=Kind.STAT,
            width=5,
            height=5,
            queries=(
                Query(
                    f"sum({_I}received_envelopes_total) - sum({_I}envelopes_total)"
                    f" - sum({_I}abandoned_envelopes_total) - sum({_I}in_flight_envelopes)"
                ),
            ),
            empty="no ingest process is scraped",
            bad_at=1,
        ),
    ),
)

_FLOW: Final = Row(
    "Flow",
    (
        Panel(
            title="Envelopes, by outcome",
            text="The outcomes of envelopes. Duplicates are normal after a reconnect: agents "
            "and broker repeat what was not acknowledged.",
            unit="ops",
            is_stacked=True,
            queries=tuple(
                Query(_rate(f'envelopes_total{{outcome="{outcome}"}}'), outcome)
                for outcome in ("stored", "duplicate", "refused", "quarantined")
            ),
            empty="nothing is scraped",
        ),
        Panel(
            title="Observations stored, by quantity",
            text="Stored observations of each quantity. If one falls to 0 while gateways "
            "measure it, see the Fleet dashboard.",
            unit="ops",
            kind=Kind.BARS,
            decimals=1,
            queries=(
                Query(
                    _rate("stored_observations_total", " by (quantity)") + " > 0", "{{quantity}}"
                ),
            ),
            empty="nothing was stored lately",
        ),
        Panel(
            title="Observations refused, by reason",
            text="Refused observations are counted, acknowledged and not kept. The "
            "reasons are explained in docs/metrics.md.",
            unit="ops",
            kind=Kind.BARS,
            decimals=2,
            queries=(
                Query(_rate("refused_observations_total", " by (reason)") + " > 0", "{{reason}}"),
            ),
            empty="nothing was refused lately",
        ),
    ),
)

_SPEED: Final = Row(
    "How fast, how late",
    (
        Panel(
            title="Measured to queryable",
            text="Quantiles of the time from being measured to being queryable. p50 is mostly the "
            "time that agents collect a batch.",
            unit="s",
            queries=tuple(
                Query(f"histogram_quantile({q}, {_LATE})", f"p{q * 100:g}")
                for q in (0.5, 0.95, 0.99)
            ),
            empty="nothing stored lately",
        ),
        Panel(
            title="Flush and COPY, p99",
            text="A flush is one transaction: gate, ledger, COPY, COMMIT. When flush grows and "
            "COPY does not, look at locks and at the disk's sync.",
            unit="s",
            queries=tuple(
                Query(
                    f"histogram_quantile(0.99, sum by (le) (rate({_I}{name}_seconds_bucket"
                    "[$__rate_interval])))",
                    name,
                )
                for name in ("flush", "copy")
            ),
            empty="nothing was flushed lately",
        ),
        Panel(
            title="Envelopes in each flush",
            text="Mean size of a batch. Grows with the load: that is how ingest keeps up.",
            unit="short",
            queries=(
                Query(
                    f"{_rate('envelopes_total')} / (sum(rate({_I}flush_seconds_count"
                    "[$__rate_interval])) > 0)",
                    "envelopes",
                ),
            ),
            empty="nothing was flushed lately",
        ),
        Panel(
            title="In flight",
            text="Envelopes received and not settled, by process. Flat at the window means "
            "back-pressure: the database is the limit.",
            unit="short",
            queries=(Query(f"sum({_I}in_flight_envelopes)", "in flight"),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Flushes tried again",
            text="Transactions that failed, for example because of a lock, a restart or a full"
            " disk, and were repeated. Nothing is lost, because the acknowledgement "
            "waits.",
            unit="ops",
            queries=(Query(_rate("flush_retries_total"), "retries"),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Receipts",
            text="What tells gateways which envelopes they may forget.",
            unit="ops",
            queries=(Query(_rate("receipts_total"), "receipts"),),
            empty="no ingest process is scraped",
        ),
    ),
)

BOARD: Final = Board(
    uid="vitalveil-pipeline",
    title="VitalVeil / Pipeline",
    text="Throughput, latency and outcomes of ingest.",
    rows=(_NOW, _FLOW, _SPEED),
)
