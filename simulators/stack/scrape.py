"""Reads /metrics and /readyz of a program."""

import http.client
import urllib.error
import urllib.request
from typing import Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S: Final = 2.0
Labels = frozenset[tuple[str, str]]


class Metrics(msgspec.Struct, frozen=True):
    """The samples of one scrape."""

    samples: dict[tuple[str, Labels], float]

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; 0 when there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str) -> float:
        """Return the sum of a family's samples, over every label."""
        return sum(value for (other, _), value in self.samples.items() if other == name)

    def by(self, name: str, label: str) -> dict[str, int]:
        """Return the samples of a family by the value of one label, without those that are 0."""
        found: dict[str, int] = {}
        for (other, labels), value in self.samples.items():
            key = dict(labels).get(label)
            if other == name and key is not None and value:
                found[key] = found.get(key, 0) + round(value)
        return found

    def quantile(self, name: str, quantile: float) -> float | None:
        """
        Return a quantile of a histogram, interpolated in its bucket; None if the histogram is
        empty.
        """
        buckets = sorted(
            (float(dict(labels)["le"]), value)
            for (other, labels), value in self.samples.items()
            if other == f"{name}_bucket"
        )
        if not buckets or not buckets[-1][1]:
            return None
        rank = quantile * buckets[-1][1]
        low, below = 0.0, 0.0
        for high, count in buckets:
            if count >= rank:
                if high == float("inf"):
                    return low
                inside = count - below
                return low + (high - low) * ((rank - below) / inside if inside else 1.0)
            low, below = high, count
        return low


EMPTY: Final = Metrics({})


def scrape(port: int) -> Metrics | None:
    """Return the metrics of the program on *port*, or None if it does not answer."""
    text = _get(port, "/metrics")
    if text is None:
        return None
    try:
        return Metrics(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )
    except ValueError:
        # Another program listens there.
        return None


def is_ready(port: int) -> bool:
    """Tell whether the program on *port* reports that it is ready."""
    return _get(port, "/readyz") is not None


def _get(port: int, path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=_TIMEOUT_S) as reply:
            text: str = reply.read().decode()
            return text
    except (urllib.error.URLError, OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
