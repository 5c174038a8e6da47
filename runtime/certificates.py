"""A metric that shows when certificates end, so that they are renewed in time."""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TEXT: Final = "When a certificate of this process ends, in seconds since 1970."


def not_after(path: Path) -> dt.datetime | None:
    """Return when the first certificate in the PEM file *path* ends; None if it holds none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None


class Certificates(Collector):
    """
    The end of each certificate as a metric.

    The files are read at each scrape, because certificates are renewed in place.

    Args:
        name: Name of the metric.

        files: The purpose of each file, which is the label `of`, and its path.
    """

    def __init__(self, name: str, files: Mapping[str, Path]) -> None:
        self._name = name
        self._files = dict(files)

    def describe(self) -> Iterable[Metric]:
        """Return the metric without values, for the registry."""
        return [GaugeMetricFamily(self._name, _TEXT, labels=["of"])]

    def collect(self) -> Iterable[Metric]:
        """Yield the metric with a value for each file that holds a certificate."""
        family = GaugeMetricFamily(self._name, _TEXT, labels=["of"])
        for of, path in self._files.items():
            end = not_after(path)
            if end is not None:
                family.add_metric([of], end.timestamp())
        yield family
