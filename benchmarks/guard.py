"""
Checks that durability, consent, sealing and exactly-once are on before anything is measured.

Settings are read where that is possible. The behaviour of ingest is tested with an envelope for
each guarantee, because a correct setting that is not obeyed guarantees nothing.
"""

import time
from typing import Final

import msgspec

from benchmarks.errors import Refused
from benchmarks.world.database import Telemetry
from benchmarks.world.fleet import Fleet, Form, Message, Shape, member
from benchmarks.world.world import WORKERS, Worker, World, wait_until_settled
from wire.envelope import decode_envelope, encode_envelope

_DURABLE: Final = {
    "fsync": ("on",),
    "synchronous_commit": ("on", "remote_write", "remote_apply"),
    "full_page_writes": ("on",),
    "track_commit_timestamp": ("on",),
}
_READINGS = 30


def check_durability(telemetry: Telemetry) -> None:
    """
    Check that a COMMIT of ingest survives a power cut.

    Raises:
        Refused: A setting of the server or of ingest's role weakens that guarantee.
    """
    for name, wanted in _DURABLE.items():
        for role in ("vv_ingest", None):
            found = _setting(telemetry, name, role)
            if found not in wanted:
                raise Refused(name, found)
    for table, kind in telemetry.fetch(
        "SELECT c.relname, c.relpersistence::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'vv' AND c.relkind IN ('r', 'p')"
    ):
        if kind != "p":
            raise Refused("durability", f"the table {table} is not logged")
    keys = telemetry.fetch(
        "SELECT FROM pg_index WHERE indrelid = 'vv.envelopes'::regclass AND indisunique"
        " AND indisvalid AND indimmediate AND indpred IS NULL"
    )
    if not keys:
        raise Refused("the ledger", "vv.envelopes has no unique index")


def _setting(telemetry: Telemetry, name: str, role: str | None) -> str:
    """Return the setting with which a connection of *role* begins; that of the server for None."""
    rows = telemetry.fetch(
        "SELECT option FROM pg_db_role_setting s, unnest(setconfig) AS option"
        " WHERE (setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database"
        " WHERE datname = current_database()))"
        " AND (setrole = 0 OR setrole = (SELECT oid FROM pg_roles WHERE rolname = %s))"
        " AND option LIKE %s ORDER BY setrole DESC, setdatabase DESC",
        role or "",
        f"{name}=%",
    )
    if rows:
        return str(rows[0][0]).partition("=")[2]
    # The session of this benchmark overrides settings, so the server's own are read.
    return str(telemetry.fetch("SELECT reset_val FROM pg_settings WHERE name = %s", name)[0][0])


def try_guarantees(world: World) -> None:
    """
    Send an envelope for each guarantee through a real ingest.

    Raises:
        Refused: A forbidden envelope was stored, or one was stored twice.
    """
    world.telemetry.reset()
    allowed, withdrawn, plain = member(0), member(1), member(2)
    world.sow([allowed, withdrawn, plain])
    world.telemetry.withdraw([withdrawn.handle])
    messages = _trial(world)
    world.fill([WORKERS[0]], messages)
    worker = world.start_ingest(wait=True)
    try:
        wait_until_settled([worker], len(messages), timeout_s=30)
        _judge(world, worker)
    finally:
        worker.child.stop()
        world.forget(WORKERS[0])


def _trial(world: World) -> list[Message]:
    """Return a valid envelope twice, one without consent, one in clear text, and a forged one."""
    shape = Shape(3, _READINGS, 6)
    start_ms = time.time_ns() // 1_000_000 - 600_000
    fleet = Fleet(shape, start_ms=start_ms, ingest_key=world.ingest_key)
    good, refused, _, other, *_ = fleet.messages()
    in_clear = fleet.messages(Form.JSON)[2]
    outside = decode_envelope(other[1])
    last = bytes([outside.sealed[-1] ^ 1])
    forged = msgspec.structs.replace(outside, sealed=outside.sealed[:-1] + last)
    return [good, good, refused, in_clear, (other[0], encode_envelope(forged))]


def _judge(world: World, worker: Worker) -> None:
    said = worker.metrics()
    if (rows := world.telemetry.count()) > _READINGS:
        raise Refused("consent, sealing or the ledger", f"{rows} rows where {_READINGS} may be")
    if rows < _READINGS:
        raise Refused("storage", f"{rows} rows where {_READINGS} must be")
    for guarantee, name, label, value in (
        ("the ledger", "envelopes", "outcome", "duplicate"),
        ("consent", "refused_envelopes", "reason", "withdrawn"),
        ("sealing", "refused_envelopes", "reason", "malformed"),
        ("the seal", "quarantined_envelopes", "reason", "bad_seal"),
    ):
        if said.value(f"vitalveil_ingest_{name}_total", **{label: value}) != 1:
            raise Refused(guarantee, f"no envelope was counted as {value}")
