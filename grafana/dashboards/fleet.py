"""
The Fleet dashboard: gateways and sensors, in sums.

Gateways stand in homes and are not scraped. They report counters in their state messages, and
every ingest process receives those of all gateways: panels take the maximum over processes, never
the sum.
"""

from typing import Final

from grafana.panels import Board, Kind, Panel, Query, Row

_F: Final = "vitalveil_ingest_fleet_"


def _max(metric: str) -> str:
    return f"max({_F}{metric})"


def _rate(metric: str, by: str = "") -> str:
    return f"max{by} (rate({_F}{metric}[$__rate_interval]))"


_GATEWAYS: Final = Row(
    "Gateways",
    (
        Panel(
            title="On-line",
            text="Gateways that hold a connection to the broker.",
            unit="short",
            kind=Kind.STAT,
            width=5,
            height=5,
            queries=(Query(_max('agents{state="online"}')),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Off-line",
            text="Known gateways that are not connected. Single ones come and go with the "
            "electricity of homes; many at once are an incident.",
            unit="short",
            kind=Kind.STAT,
            width=5,
            height=5,
            queries=(Query(_max('agents{state="offline"}')),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Measuring",
            text="On-line gateways with a lease in force. At the others no person has "
            "consented, or their lease has ended.",
            unit="short",
            kind=Kind.STAT,
            width=4,
            height=5,
            queries=(Query(_max("measuring_agents")),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Oldest in any spool",
            text="How long the oldest envelope of an on-line gateway has waited.",
            unit="s",
            kind=Kind.STAT,
            width=5,
            height=5,
            queries=(Query(_max("spool_oldest_seconds")),),
            empty="no ingest process is scraped",
            warn_at=3600,
            bad_at=21600,
        ),
        Panel(
            title="Given up, last hour",
            text="Observations that gateways evicted because their spool was full or too old: "
            "lost for good, and counted. Withdrawals are not among them.",
            unit="short",
            kind=Kind.STAT,
            width=5,
            height=5,
            queries=(
                Query(
                    f"max(sum by (instance) (increase({_F}purged_observations_total"
                    '{reason=~"evicted.*"}[1h])))'
                ),
            ),
            empty="no ingest process is scraped",
            bad_at=1,
        ),
        Panel(
            title="Gateways",
            text="On-line and measuring, over time.",
            unit="short",
            queries=(
                Query(_max('agents{state="online"}'), "on-line"),
                Query(_max("measuring_agents"), "measuring"),
                Query(_max('agents{state="offline"}'), "off-line"),
            ),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Spooled envelopes",
            text="Envelopes without a receipt at gateways, as last reported: many while ingest"
            " is down, otherwise near 0.",
            unit="short",
            queries=(Query(_max("spool_envelopes"), "envelopes"),),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Trouble at gateways",
            text="Connections that failed, spools that were damaged or could not be written, "
            "leases that were not taken over.",
            unit="ops",
            queries=tuple(
                Query(_rate(f'faults_total{{fault="{fault}"}}'), fault)
                for fault in ("broker_errors", "spool_errors", "spool_damaged", "refused_leases")
            ),
            empty="no ingest process is scraped",
        ),
    ),
)

_EDGE: Final = Row(
    "At the edge",
    (
        Panel(
            title="Measurements, by outcome",
            text="Kept ones become observations; coarsened ones are finer than the purpose needs, "
            "and merged; refused ones do not leave the gateway.",
            unit="ops",
            is_stacked=True,
            queries=tuple(
                Query(_rate(f'measurements_total{{outcome="{outcome}"}}'), outcome)
                for outcome in ("kept", "coarsened", "refused")
            ),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Refused at the edge, by reason",
            text="Why measurements did not leave the gateways. not_allowed is minimisation at "
            "work; off_body and sensor_fault are sensors to look after.",
            unit="ops",
            kind=Kind.BARS,
            decimals=2,
            queries=(
                Query(_rate("refused_measurements_total", " by (reason)") + " > 0", "{{reason}}"),
            ),
            empty="nothing was refused lately",
        ),
        Panel(
            title="Appended and settled",
            text="Observations that entered spools, and that ingest settled. If the lines stay"
            " apart, spools fill.",
            unit="ops",
            queries=tuple(
                Query(_rate(f'observations_total{{step="{step}"}}'), step)
                for step in ("appended", "settled")
            ),
            empty="no ingest process is scraped",
        ),
    ),
)

_RADIO: Final = Row(
    "Radio",
    (
        Panel(
            title="Sensors",
            text="Sensors that leases name, and those connected by radio at this moment. Glucose "
            "meters connect for seconds, straps while they are worn. 0 where sensors are not "
            "read by radio.",
            unit="short",
            queries=(
                Query(_max('sensors{state="bound"}'), "named in leases"),
                Query(_max('sensors{state="connected"}'), "connected"),
            ),
            empty="no ingest process is scraped",
        ),
        Panel(
            title="Attempts to talk to a sensor, by ending",
            text="done is success. Much lost or timed_out points to distance or interference; "
            "not_authorised needs pairing, bond_refused needs pairing again.",
            unit="ops",
            kind=Kind.BARS,
            decimals=2,
            queries=(
                Query(_rate("sensor_attempts_total", " by (ending)") + " > 0", "{{ending}}"),
            ),
            empty="no attempts lately",
        ),
        Panel(
            title="Values that cannot be decoded, by reason",
            text="Values of sensors that cannot be decoded. A rise after an update of a sensor"
            " should be reported as a quirk.",
            unit="ops",
            kind=Kind.BARS,
            decimals=2,
            queries=(Query(_rate("decode_errors_total", " by (reason)") + " > 0", "{{reason}}"),),
            empty="every value could be read",
        ),
    ),
)

BOARD: Final = Board(
    uid="vitalveil-fleet",
    title="VitalVeil / Fleet",
    text="Gateways and sensors, in sums that never tell one home from another.",
    rows=(_GATEWAYS, _EDGE, _RADIO),
)
