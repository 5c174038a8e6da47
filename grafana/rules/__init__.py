"""All alerts, by subject."""

from typing import Final

from grafana.alerts import Alert
from grafana.rules import broker, edge, pipeline, stores, trust

GROUPS: Final[dict[str, tuple[Alert, ...]]] = {
    "vitalveil-pipeline": pipeline.ALERTS,
    "vitalveil-broker": broker.ALERTS,
    "vitalveil-edge": edge.ALERTS,
    "vitalveil-stores": stores.ALERTS,
    "vitalveil-trust": trust.ALERTS,
}
ALERTS: Final = tuple(alert for group in GROUPS.values() for alert in group)
