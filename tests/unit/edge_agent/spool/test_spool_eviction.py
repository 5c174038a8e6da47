"""Eviction by priority and age, and the gaps that record it."""

from pathlib import Path

import pytest

from edge_agent.ports import Amount, Sealed, Shortage
from edge_agent.spool import inspection
from edge_agent.spool.eviction import GAPS_KEPT_MS, HOUR_MS
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.inspection import Gap
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from edge_agent.values.priority import Priority, priority_of
from tests.fakes.edge_agent import HANDLE
from tests.support.spool_appender import KEY, SPOOL_ID
from wire.quantities import BY_NAME


class Disk:
    """A disk with as much free space as the test says."""

    def __init__(self) -> None:
        self.free = 1 << 40

    def __call__(self) -> int:
        return self.free


async def open_spool(folder: Path, bounds: SpoolLimits, disk: Disk | None = None) -> SqliteSpool:
    """Open the spool in *folder*."""
    return await SqliteSpool.open(
        folder, Tags(KEY), new_spool_id=SPOOL_ID, bounds=bounds, free_bytes=disk or Disk()
    )


async def append(
    spool: SqliteSpool, *worths: Priority, now_ms: int = 1
) -> tuple[list[int], Shortage]:
    """Append an envelope of 100 bytes and 3 observations for each of *worths*."""
    sealed = [Sealed(spool.take_sequence(), HANDLE, 3, b"x" * 100, worth) for worth in worths]
    appended = await spool.append(sealed, {}, now_ms=now_ms)
    return appended.evicted.sequences, appended.shortage


@pytest.mark.parametrize(
    ("quantity", "worth"),
    [
        ("heart_rate", Priority.STREAMED),
        ("rr_interval", Priority.STREAMED),
        ("spo2", Priority.SINGLE),
        ("body_weight", Priority.SINGLE),
        ("glucose_capillary", Priority.TREATMENT),
        ("glucose_interstitial", Priority.TREATMENT),
    ],
)
def test_worth_of(quantity: str, worth: Priority) -> None:
    """Values that come again soon have the lowest priority, and glucose the highest."""
    assert priority_of(BY_NAME[quantity].code) is worth


def test_worth_of_what_nobody_knows() -> None:
    """A quantity of a later version has not the lowest priority."""
    assert priority_of(9999) is Priority.SINGLE


async def test_heart_rate_goes_first_and_glucose_last(tmp_path: Path) -> None:
    """Heart rates are evicted before any glucose value, even before older ones."""
    spool = await open_spool(tmp_path, SpoolLimits(500, min_free_bytes=0))
    await append(spool, Priority.TREATMENT, Priority.STREAMED, Priority.SINGLE, Priority.STREAMED)
    assert (await append(spool, Priority.STREAMED, Priority.STREAMED))[0] == [2, 4]
    assert (await append(spool, Priority.TREATMENT, Priority.TREATMENT))[0] == [5, 6]
    assert (await append(spool, Priority.TREATMENT, Priority.TREATMENT))[0] == [3, 1]
    await spool.close()


async def test_nearly_full_disk_stops_growth(tmp_path: Path) -> None:
    """With too little free space on the disk the spool accepts envelopes and does not grow."""
    disk = Disk()
    spool = await open_spool(tmp_path, SpoolLimits(1 << 20, min_free_bytes=1000), disk)
    await append(spool, *[Priority.STREAMED] * 5)
    disk.free = 999
    assert await append(spool, Priority.STREAMED, Priority.STREAMED) == ([1, 2], Shortage.DISK)
    assert spool.stats().bytes == 500
    disk.free = 1000
    assert (await append(spool, Priority.STREAMED))[0] == []
    await spool.close()


async def test_gap_says_what_was_given_up(tmp_path: Path) -> None:
    """Each hour, reason and priority has one gap: with its range, amount and age."""
    spool = await open_spool(tmp_path, SpoolLimits(309, min_free_bytes=0))
    await append(spool, Priority.STREAMED, Priority.SINGLE, now_ms=10)
    await append(spool, Priority.STREAMED, now_ms=20)
    await append(spool, Priority.TREATMENT, Priority.TREATMENT, now_ms=HOUR_MS + 5)
    await spool.evict_older_than(20, now_ms=HOUR_MS + 6)
    await spool.close()
    view = inspection.look(tmp_path)
    by_bytes = Shortage.BYTES.value
    assert view.gaps == [
        Gap(HOUR_MS, Shortage.AGE.value, "single", 2, 2, 10, 10, 1, 3),
        Gap(HOUR_MS, by_bytes, "streamed", 1, 3, 10, 20, 2, 6),
    ]
    assert view.totals["evicted"] == Amount(3, 9)


async def test_gaps_do_not_pile_up(tmp_path: Path) -> None:
    """Gaps of more than a year ago are deleted when new ones are recorded."""
    spool = await open_spool(tmp_path, SpoolLimits(200, min_free_bytes=0))
    await append(spool, *[Priority.STREAMED] * 3, now_ms=1)
    later = GAPS_KEPT_MS + 2 * HOUR_MS
    await append(spool, Priority.STREAMED, Priority.STREAMED, now_ms=later)
    await spool.close()
    assert [gap.hour_ms for gap in inspection.look(tmp_path).gaps] == [later]
