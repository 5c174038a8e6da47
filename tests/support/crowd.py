"""Fills a vault with a million people who have three signed decisions each."""

import datetime as dt
import itertools
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from trust.decisions import decisions
from trust.decisions.decisions import Capture, Decision, GivenBy, State
from trust.domain import canonical, subjects
from trust.domain.pseudonyms import pseudonymise
from trust.domain.subjects import PersonalDetails
from trust.keys.file_keys import FileKeys
from trust.vault.records.handles import issued_for
from wire.quantities import BY_NAME

PURPOSE: Final = "home-monitoring"
QUANTITY: Final = "heart_rate"
DECISIONS: Final = 3
PER_AGENT: Final = 10
_CHUNK: Final = 5_000
_T0: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Rows = dict[str, list[tuple[Any, ...]]]


def agent_of(number: int) -> str:
    """Return the agent that measures the person with the given number."""
    return f"{number // PER_AGENT:016x}"


def subject_of(number: int) -> UUID:
    """Return the id of the person with the given number."""
    return uuid.uuid5(uuid.NAMESPACE_OID, str(number))


def rows_of(keys_folder: Path, controller: str, first: int, last: int) -> Rows:
    """Return the rows, signed and sealed, of the people from *first* to before *last*."""
    keys = FileKeys(keys_folder)
    pseudonym_key = keys.pseudonym_key(purpose=PURPOSE)
    rows: Rows = {name: [] for name in ("subjects", "decisions", "handles", "series")}
    for number in range(first, last):
        subject = subject_of(number)
        data_key = subjects.new_data_key()
        sealed = subjects.seal_identity(
            PersonalDetails(f"Person {number}"), subject=subject, data_key=data_key
        )
        wrapped = keys.wrap(data_key, bound_to=subject.bytes)
        rows["subjects"].append((subject, keys.key_id, wrapped, sealed))
        for decision in chain_of(subject):
            document = decisions.encode(decision)
            rows["decisions"].append(
                (
                    decision.decision,
                    subject,
                    PURPOSE,
                    1,
                    decision.supersedes,
                    document,
                    keys.key_id,
                    keys.sign(canonical.to_sign(decisions.KIND, document)),
                )
            )
        handle = uuid.uuid4().bytes
        agent = agent_of(number)
        bindings = subjects.seal_bindings(
            [_address(number)],
            handle=handle,
            issued_for=issued_for(agent, PURPOSE, decision.decision),
            data_key=data_key,
        )
        rows["handles"].append((handle, subject, agent, 1, PURPOSE, decision.decision, bindings))
        pseudonym = pseudonymise(
            subject, key=pseudonym_key, controller=controller, purpose=PURPOSE, epoch=1
        )
        rows["series"].append((number + 1, pseudonym.value, handle, agent))
    return rows


def chain_of(subject: UUID) -> Iterator[Decision]:
    """Yield three decisions of a person: accepted, refused, accepted again."""
    before: UUID | None = None
    for number, state in enumerate((State.ACCEPTED, State.REFUSED, State.ACCEPTED)):
        accepted = state is State.ACCEPTED
        decision = Decision(
            decision=uuid.uuid4(),
            subject=subject,
            purpose=PURPOSE,
            version=1,
            state=state,
            quantities=[QUANTITY] if accepted else [],
            recipients=["care-team"] if accepted else [],
            decided_at=_T0 + dt.timedelta(days=number),
            valid_from=_T0 + dt.timedelta(days=number),
            given_by=GivenBy.SELF,
            capture=Capture("signature"),
            supersedes=before,
        )
        before = decision.decision
        yield decision


def _address(number: int) -> str:
    digits = f"{number:012X}"
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


def fill(
    vault: str, telemetry: str, *, keys_folder: Path, controller: str, people: int, processes: int
) -> None:
    """
    Fill an empty vault, and the permissions of its telemetry database.

    Args:
        vault: Connection string of a superuser for the vault.

        telemetry: Connection string of a superuser for the telemetry database.

        keys_folder: Folder of the keys that sign.

        controller: Name of the controller (GDPR, article 4).

        people: Number of people.

        processes: Number of processes that sign.
    """
    with (
        psycopg.connect(vault) as into,
        psycopg.connect(telemetry) as beside,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        for connection in (into, beside):
            # References are valid by construction; checking eight million would double the time.
            connection.execute("SET session_replication_role = replica")
        _register(into, beside, people)
        firsts = range(0, people, _CHUNK)
        lasts = [min(first + _CHUNK, people) for first in firsts]
        for rows in pool.map(
            rows_of, itertools.repeat(keys_folder), itertools.repeat(controller), firsts, lasts
        ):
            _copy_vault(into, rows)
            _copy_telemetry(beside, rows["series"])
    for where in (vault, telemetry):
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def _register(into: psycopg.Connection[Any], beside: psycopg.Connection[Any], people: int) -> None:
    agents = -(-people // PER_AGENT)
    into.execute(
        "INSERT INTO vault.agents (agent, format, lease_key, applied, lease_version)"
        " SELECT lpad(to_hex(n), 16, '0'), 'sealed', %s, 1, 1 FROM generate_series(0, %s) n",
        [b"\x09" + bytes(31), agents - 1],
    )
    beside.execute(
        "INSERT INTO vv.agents (agent, changed_epoch)"
        " SELECT lpad(to_hex(n), 16, '0'), 1 FROM generate_series(0, %s) n",
        [agents - 1],
    )
    beside.execute(
        "INSERT INTO vv.leases (agent, version, issued_at, not_after, changed_epoch)"
        " SELECT agent, 1, now(), now() + interval '1 day', 1 FROM vv.agents"
    )


_COLUMNS: Final = {
    "subjects": "subject, key_id, wrapped_key, sealed",
    "decisions": "decision, subject, purpose, version, supersedes, document, key_id, signature",
    "handles": "handle, subject, agent, epoch, purpose, decision, sealed_bindings",
}


def _copy_vault(into: psycopg.Connection[Any], rows: Rows) -> None:
    for table, columns in _COLUMNS.items():
        with into.cursor().copy(
            sql.SQL("COPY vault.{} ({}) FROM STDIN").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, columns.split(", "))),
            )
        ) as copy:
            for row in rows[table]:
                copy.write_row(row)


def _copy_telemetry(beside: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
    code = BY_NAME[QUANTITY].code
    with beside.cursor().copy(
        "COPY vv.series (series_id, pseudonym, purpose, quantity) FROM STDIN"
    ) as copy:
        for series_id, pseudonym, _, _ in rows:
            copy.write_row((series_id, pseudonym, PURPOSE, code))
    with beside.cursor().copy(
        "COPY vv.permissions (handle, quantity, agent, series_id, valid_from, step, interval_ms,"
        " time_step_ms, changed_epoch) FROM STDIN"
    ) as copy:
        for series_id, _, handle, agent in rows:
            copy.write_row((handle, code, agent, series_id, _T0, 1, 1000, 1, 1))
