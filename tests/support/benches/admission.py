"""Decides over opened envelopes with the permissions of a test."""

from ingest.admission.admit import Admission, admit
from ingest.admission.decide import ClockRules
from ingest.admission.last_readings import LastReadings
from ingest.admission.permissions import Permissions
from ingest.values.delivery import Opened
from tests.fakes.ingest import NOW_MS, knowing, permission

CLOCK = ClockRules()
DAY_MS = 86_400_000
MINUTE = (1, 60_000, 1)


def decide(
    *some: Opened, permissions: Permissions | None = None, last: LastReadings | None = None
) -> Admission:
    """Admit *some* now, and treat the admitted as stored."""
    reserved = (last or LastReadings()).reserve()
    admission = admit(
        some,
        permissions=permissions or knowing(permission()),
        last=reserved,
        clock=CLOCK,
        now_ms=NOW_MS,
    )
    reserved.settle()
    return admission
