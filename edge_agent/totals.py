"""The counters of this agent under the names of the state message (`wire.totals`)."""

from typing import Final

from prometheus_client import CollectorRegistry

from edge_agent.values.receipt_faults import ReceiptFault
from wire.totals import FAMILIES, Family

_PREFIX: Final = "vitalveil_agent_"
_BY_NAME: Final = {family.name: family for family in FAMILIES}

_LABELLED: Final = {
    f"{_PREFIX}{name}_total": _BY_NAME[name]
    for name in (
        "measurements",
        "refused_measurements",
        "purged_observations",
        "sensor_attempts",
        "decode_errors",
    )
}
_PLAIN: Final = {
    f"{_PREFIX}{metric}_total": _BY_NAME[family].key(value)
    for metric, family, value in (
        ("appended_observations", "observations", "appended"),
        ("settled_observations", "observations", "settled"),
        ("spool_damaged", "faults", "spool_damaged"),
        ("spool_errors", "faults", "spool_errors"),
        ("broker_errors", "faults", "broker_errors"),
        ("refused_leases", "faults", "refused_leases"),
    )
}
_RECEIPTS: Final = f"{_PREFIX}refused_receipts_total"
_LEVELS: Final = {
    f"{_PREFIX}spool_bytes": ("spool_bytes", 1),
    f"{_PREFIX}spool_oldest_seconds": ("spool_oldest_ms", 1000),
    f"{_PREFIX}bound_sensors": ("bound_sensors", 1),
    f"{_PREFIX}connected_sensors": ("connected_sensors", 1),
    f"{_PREFIX}lease_taken_seconds": ("lease_taken_ms", 1000),
}


def read(registry: CollectorRegistry) -> tuple[dict[str, int], dict[str, int]]:
    """Return the totals and the levels in *registry*, without zeros."""
    totals: dict[str, int] = {}
    levels: dict[str, int] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name in _LEVELS:
                name, scale = _LEVELS[sample.name]
                levels[name] = max(0, round(sample.value * scale))
            else:
                _add(totals, sample.name, sample.labels, round(sample.value))
    return totals, {name: level for name, level in levels.items() if level}


def _add(totals: dict[str, int], metric: str, labels: dict[str, str], count: int) -> None:
    key = _PLAIN.get(metric)
    if metric == _RECEIPTS:
        # Receipts of the old form are counted apart: they are normal during an upgrade.
        is_old = labels["reason"] == ReceiptFault.OLD_FORM
        key = _BY_NAME["faults"].key("old_receipts" if is_old else "refused_receipts")
    family: Family | None = _LABELLED.get(metric)
    if family is not None:
        key = family.key(labels[family.label])
    if key is not None and count:
        totals[key] = totals.get(key, 0) + count
