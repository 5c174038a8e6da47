"""Imports a file into the spool of a gateway that does not run."""

import os
from collections import Counter
from pathlib import Path

import msgspec

from edge_agent.config import AgentSettings
from edge_agent.errors import FileNotImported, StateInUse
from edge_agent.file_import import intake, readings
from edge_agent.file_import.intake import ImportDecision
from edge_agent.lease import keys
from edge_agent.lease.leases import FileLeaseStore, Leases
from edge_agent.pipeline.pipeline import Pipeline, marks_of
from edge_agent.ports import KeptTime, Sealed
from edge_agent.reload import batch_limits, spool_bounds
from edge_agent.sources.clock import KeptClock
from edge_agent.spool import database_file, lock
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.seal import Seal
from edge_agent.spool.spool import SqliteSpool
from edge_agent.values.measurement import Measurement
from recordings.options import ReadOptions
from wire.envelope import SPOOL_ID_BYTES


class ImportReport(msgspec.Struct, frozen=True):
    """The result of an import: every reading of the file is in one of the counts."""

    format: str
    readings: int
    """In the file, good or bad."""
    observations: int
    """Sealed into the spool, or to be sealed in a dry run."""
    envelopes: int
    merged: int
    """Readings in the interval of another one, of which the policy lets only one out."""
    refused: dict[str, int]
    """By reason. A reading that serves several purposes may be refused for each."""


async def run(
    settings: AgentSettings, path: Path, sensor: str, options: ReadOptions, *, is_dry: bool
) -> ImportReport:
    """
    Import the file at *path* as readings of *sensor*.

    Args:
        settings: Of the gateway, whose agent must be stopped.

        path: The file.

        sensor: An address that the lease binds to the person whose history this is.

        options: The user's answers for what the file leaves open.

        is_dry: Decide and count, and seal nothing.

    Raises:
        FileNotImported: The file is refused, no lease is in force, or the spool has no room.
        ConfigError: A key file is missing or wrong.
        SpoolError: The spool cannot be used.
    """
    held_keys = keys.read(settings.keys)
    found = readings.read(path, sensor, options)
    try:
        with lock.hold(settings.state_dir):
            clock = KeptClock(
                settings.state_dir, belief=settings.clock.belief, marker=settings.clock.marker
            )
            clock.look()
            leases = _leases(settings, held_keys)
            spool = await SqliteSpool.open(
                settings.state_dir,
                Tags(held_keys.lease),
                new_spool_id=os.urandom(SPOOL_ID_BYTES),
                bounds=spool_bounds(settings),
            )
            try:
                taken = _decide(settings, found.measurements, clock, leases, spool)
                envelopes = 0
                if not is_dry and taken.flush.bodies:
                    sealed = _seal(settings, held_keys, leases, spool, taken)
                    _check_room(settings, spool, sealed)
                    await spool.append(sealed, taken.flush.marks, now_ms=clock.now_ms())
                    envelopes = len(sealed)
            finally:
                await spool.close()
    except StateInUse:
        raise FileNotImported(
            "the agent of this gateway is running. Stop it, import the file, and start it again"
        ) from None
    refused: Counter[str] = found.refused + taken.refused
    return ImportReport(
        found.format,
        len(found.measurements) + found.refused.total(),
        taken.observations,
        envelopes,
        taken.merged,
        dict(sorted(refused.items())),
    )


def _leases(settings: AgentSettings, held_keys: keys.Keys) -> Leases:
    leases = Leases(
        agent=settings.agent,
        trust_key=held_keys.trust,
        agent_key=held_keys.lease,
        lease_store=FileLeaseStore(settings.state_dir),
    )
    leases.recall()
    return leases


def _decide(
    settings: AgentSettings,
    measurements: list[Measurement],
    clock: KeptTime,
    leases: Leases,
    spool: SqliteSpool,
) -> ImportDecision:
    """Return the decision about *measurements*, under the lease in force and earlier ones."""
    if leases.held is None:
        raise FileNotImported(
            "this gateway holds no lease. Record a decision that names it, and let it connect once"
        )
    if not clock.is_dated():
        raise FileNotImported(
            "the time of day is not known. Let the machine synchronise its clock, and try again"
        )
    pipeline = Pipeline(batch_limits(settings))
    marks = spool.marks(marks_of(leases.held))
    pipeline.adopt(leases.held, leases.past, marks, now=clock.now())
    return intake.take(
        pipeline,
        measurements,
        now_ms=clock.now_ms(),
        latest_ms=clock.latest_ms(),
        now=clock.now(),
    )


def _seal(
    settings: AgentSettings,
    held_keys: keys.Keys,
    leases: Leases,
    spool: SqliteSpool,
    taken: ImportDecision,
) -> list[Sealed]:
    seal = Seal(
        agent=settings.agent,
        spool_id=spool.spool_id,
        ingest_key=held_keys.ingest,
        random_bytes=os.urandom,
    )
    assert leases.held is not None  # noqa: S101 - `_decide` refused otherwise
    return [
        seal.seal(body, sequence=spool.take_sequence(), bucket_bytes=leases.held.bucket_bytes)
        for body in taken.flush.bodies
    ]


def _check_room(settings: AgentSettings, spool: SqliteSpool, sealed: list[Sealed]) -> None:
    """
    Refuse to import what would evict unsent readings from the spool.

    Raises:
        FileNotImported: There is no room.
    """
    needed = sum(len(one.payload) for one in sealed)
    free = database_file.free_bytes(settings.state_dir) - settings.spool.min_free_bytes
    if needed > min(free, settings.spool.max_bytes - spool.stats().bytes):
        raise FileNotImported(
            "the spool has no room for this file: unsent readings of sensors would be lost."
            " Start the agent, let it send what waits, or import a part of the history"
        )
