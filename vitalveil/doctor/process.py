"""Checks of a running process by its /readyz and /metrics."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from vitalveil.doctor.finding import Finding, note, sound, wrong

_TIMEOUT_S: Final = 5.0
_I: Final = "vitalveil_ingest_"


def look(url: str, *, program: str) -> Iterable[Finding]:
    """Check the process of *program* that serves HTTP at *url*."""
    code = f"{program}-process"
    try:
        status, text = _get(url, "/readyz")
        _, metrics = _get(url, "/metrics")
    except (OSError, http.client.HTTPException):
        remedy = f"Start it with: systemctl start vitalveil-{program}. Its log says why it ended."
        yield wrong(code, f"{program} does not answer", remedy)
        return
    samples = _samples(metrics)
    if not any(name.startswith(f"vitalveil_{program}_") for name in samples):
        yield wrong(code, f"another program than {program} answers", "Check host and port.")
        return
    if status == http.HTTPStatus.OK:
        yield sound(code, f"{program} is ready")
    else:
        remedy = "Repair what it waits for; the program then continues by itself."
        yield wrong(code, f"{program} is not ready: {text.strip()}", remedy)
    yield from judge(samples)


def judge(samples: Mapping[str, float]) -> Iterable[Finding]:
    """Judge *samples*, the sum over all labels of each metric of a process."""
    gate, known = samples.get(f"{_I}permissions_gate_epoch"), samples.get(f"{_I}permissions_epoch")
    if gate is not None and known is not None:
        if gate > known:
            remedy = "See docs/runbooks/VitalVeilPermissionFeedStale.md."
            yield wrong("permissions-feed", "ingest does not receive changed permissions", remedy)
        else:
            yield sound("permissions-feed", "ingest knows the permissions of the database")
    if known is not None and gate is None:
        remedy = "See docs/runbooks/VitalVeilDatabaseUnseen.md."
        text = "ingest cannot read the metrics of its database, and some alerts cannot fire"
        yield note("database-watch", text, remedy)
    yield from _accounting(samples)
    yield from _receipts(samples)
    if samples.get(f"{_I}quarantine_envelopes"):
        remedy = "See docs/runbooks/VitalVeilQuarantineGrowing.md."
        yield note("quarantine", "envelopes are in quarantine", remedy)
    if samples.get("vitalveil_trust_tampered_agents"):
        remedy = "See docs/runbooks/VitalVeilTampered.md."
        yield wrong("vault-tampered", "the signature of a record in the vault is wrong", remedy)
    if samples.get("vitalveil_trust_missing_decisions"):
        remedy = "Run `vitalveil trust audit`; see docs/runbooks/VitalVeilTampered.md."
        yield wrong("vault-missing", "decisions are missing from the vault", remedy)
    if samples.get("vitalveil_trust_unsettled_erasures"):
        remedy = "See docs/runbooks/VitalVeilErasuresUnsettled.md."
        yield wrong("erasures-unsettled", "erased data exist again, or may exist again", remedy)
    if samples.get("vitalveil_trust_overdue_leases"):
        remedy = "See docs/runbooks/VitalVeilLeasesLate.md."
        yield wrong("leases-late", "leases are not renewed in time", remedy)


def _receipts(samples: Mapping[str, float]) -> Iterable[Finding]:
    if samples.get(f"{_I}refused_receipts_total"):
        remedy = "Allow `ingest` to write vv1/receipt/+, as in deploy/mosquitto/acl."
        yield note("receipts-refused", "the broker refused receipts of ingest", remedy)
    if samples.get(f"{_I}waiting_receipts"):
        remedy = "See docs/runbooks/VitalVeilReceiptsWaiting.md."
        yield note("receipts-waiting", "ingest cannot send receipts to some gateways", remedy)


def _accounting(samples: Mapping[str, float]) -> Iterable[Finding]:
    received = samples.get(f"{_I}received_envelopes_total")
    if received is None:
        return
    found = sum(
        samples.get(_I + name, 0.0)
        for name in ("envelopes_total", "abandoned_envelopes_total", "in_flight_envelopes")
    )
    if found != received:
        remedy = "See docs/runbooks/VitalVeilConservationBroken.md."
        yield wrong("books", "envelopes that ingest received are unaccounted for", remedy)
    else:
        yield sound("books", "all envelopes that ingest received are accounted for")


def _samples(text: str) -> dict[str, float]:
    """Return the sum of the samples of each name; empty if *text* holds no metrics."""
    found: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    except ValueError:
        return {}
    return found


def _get(url: str, path: str) -> tuple[int, str]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_S
    )
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode(errors="replace")
    finally:
        connection.close()
