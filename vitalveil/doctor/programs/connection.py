"""The doctor's session with a database."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import psycopg

from runtime.database import postgres, schema_state
from runtime.errors import SessionRefused
from vitalveil.doctor import sessions
from vitalveil.doctor.finding import Finding, note, sound, wrong

LIMITS: Final = postgres.Limits(statement_ms=30_000, lock_ms=2000)


def ask(
    name: str,
    where: str | Mapping[str, Any],
    judge: Callable[[psycopg.Connection], Iterable[Finding]],
) -> Iterator[Finding]:
    """
    Yield what *judge* and the checks of sessions find in a database, or why it does not answer.

    Args:
        name: The prefix of the codes: `database` or `vault`.

        where: The connection string or the connection parameters, with the password.

        judge: Asks and judges one database.
    """
    try:
        with _connected(name, where) as (connection, refused):
            around = sessions.judge(sessions.ask(connection), name=name)
            found = [*refused, *judge(connection), *around]
    except psycopg.Error as error:
        cause = postgres.cause_of(error)
        yield wrong(f"{name}-reachable", cause.text, cause.remedy)
        return
    yield from found


def schema(
    code: str, connection: psycopg.Connection, steps: Collection[int], *, command: str
) -> Finding:
    """
    Check that the schema of a database is that of this software, as programs do when they start.

    Args:
        code: The code of the finding.

        connection: A connection in autocommit.

        steps: The numbers of the migrations of this software.

        command: The command that migrates this database.
    """
    status = schema_state.judge(schema_state.ask(connection), steps)
    if (cause := status.cause(command=command)) is None:
        if status.state is schema_state.SchemaState.UNKNOWN:
            text = "the applied migrations could not be checked: this role may not read them"
            return note(code, text, f"Run `{command}` once with this release, which permits it.")
        return sound(code, f"all {len(steps)} migrations are applied")
    return (wrong if status.must_wait else note)(code, cause.text, cause.remedy)


@contextlib.contextmanager
def _connected(
    name: str, where: str | Mapping[str, Any]
) -> Iterator[tuple[psycopg.Connection, list[Finding]]]:
    """Yield a session as the programs have it; if that is refused, any session and the reason."""
    try:
        with postgres.connect(where, limits=LIMITS, path=postgres.WITH_PUBLIC) as connection:
            yield connection, []
            return
    except SessionRefused as error:
        finding = wrong(
            f"{name}-session",
            f"no program of VitalVeil can use this database: {error}",
            "Change the setting as described.",
        )
    with postgres.connect_as_found(where) as connection:
        yield connection, [finding]
