"""The two databases of a system on one machine, on an own server or an existing one."""

import secrets
from pathlib import Path
from typing import Final

import psycopg
from psycopg import conninfo, sql

from runtime import files
from runtime.database import postgres
from runtime.errors import SessionRefused
from runtime.logs import describe
from schema import roles
from simulators.stack.errors import StackError
from simulators.stack.postgres import Postgres
from simulators.stack.toml import Table

_ROLES: Final = ("vv_ingest", "vv_trust")
_NAMES: Final = ("telemetry", "vault")


class Databases:
    """
    The databases `vv_telemetry` and `vv_vault`, with one password file for each role.

    Args:
        server: A server to start and stop; None to use the existing one of *admin_dsn*.

        admin_dsn: An administrator's connection string of an existing server.

        suffix: Added to the names of the databases.
    """

    def __init__(
        self, server: Postgres | None, *, admin_dsn: str | None = None, suffix: str = ""
    ) -> None:
        self.server = server
        self._admin_dsn = admin_dsn
        self._suffix = suffix
        self._folder = Path()
        self._created: list[str] = []
        self._made_roles = False

    def name(self, which: str) -> str:
        """Return the name of the telemetry database or the vault."""
        return f"vv_{which}" + (f"_{self._suffix}" if self._suffix else "")

    def admin(self, which: str | None = None) -> str:
        """
        Return an administrator's connection string of one of the databases, or of
        the server.
        """
        if self.server is not None:
            return self.server.dsn(self.name(which) if which else "postgres")
        assert self._admin_dsn is not None  # noqa: S101 - one of the two is given
        return conninfo.make_conninfo(
            self._admin_dsn, **({"dbname": self.name(which)} if which else {})
        )

    def create(self, folder: Path) -> None:
        """
        Start the own server, if there is one; create both databases and a password for each role.

        Raises:
            StackError: The existing server has the roles already, or refuses.
        """
        self._folder = folder
        self._check_dsn()
        if self.server is not None:
            self.server.start()
        for role in _ROLES:
            path = self.password_file(role)
            files.write(path, secrets.token_urlsafe(24).encode())
        try:
            with postgres.connect(self.admin()) as connection:
                self._refuse_foreign_roles(connection)
                for which in _NAMES:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name(which)))
                    )
                    self._created.append(self.name(which))
            with postgres.connect(
                self.admin("telemetry"), path=postgres.WITH_PUBLIC
            ) as connection:
                if connection.execute(
                    "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'"
                ).fetchall():
                    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        except (psycopg.Error, SessionRefused) as exc:
            raise StackError(f"The database server refused: {describe(exc)}") from None

    def _check_dsn(self) -> None:
        try:
            conninfo.conninfo_to_dict(self._admin_dsn or "")
        except psycopg.ProgrammingError:
            # The text of the error is withheld, because it repeats the connection string and with
            # it a password.
            raise StackError(
                "--dsn is not a connection string. Write it as"
                " host=... dbname=postgres user=postgres"
            ) from None

    def _refuse_foreign_roles(self, connection: psycopg.Connection) -> None:
        found = connection.execute(
            "SELECT FROM pg_roles WHERE rolname = ANY(%s)", [list(roles.TELEMETRY)]
        ).fetchall()
        if found:
            raise StackError(
                "the server that --dsn names already serves a VitalVeil (it has roles vv_*), whose"
                " passwords this would change. Use a server without one"
            )
        self._made_roles = True

    def password_file(self, role: str) -> Path:
        """Return the file with the password of *role*."""
        return self._folder / f"{role}.password"

    def admin_files(self, which: str) -> tuple[Path, str]:
        """Return a file with an administrator's password, and the connection string without it."""
        parts = conninfo.conninfo_to_dict(self.admin(which))
        path = self._folder / f"{which}.admin"
        files.write(path, str(parts.pop("password", "")).encode())
        return path, conninfo.make_conninfo("", **parts)

    def settings(self, which: str, role: str) -> Table:
        """Return the settings with which a program connects to a database as *role*."""
        parts = conninfo.conninfo_to_dict(self.admin())
        parts.pop("password", None)
        parts.update(dbname=self.name(which), user=role)
        return {
            "dsn": conninfo.make_conninfo("", **parts),
            "password_file": self.password_file(role),
        }

    def role_passwords(self) -> list[str]:
        """Return the arguments that set the password of each role."""
        return [
            argument
            for role in _ROLES
            for argument in ("--role-password", f"{role}={self.password_file(role)}")
        ]

    def close(self) -> None:
        """
        Stop the own server; on an existing server, drop the databases and roles created there.

        Raises:
            StackError: The existing server cannot be reached, or refuses.
        """
        if self.server is not None:
            self.server.stop()
            return
        if not self._created:
            return
        try:
            self._drop()
        except (psycopg.Error, SessionRefused) as exc:
            raise StackError(
                f"The database server refused: {describe(exc)}. The databases"
                f" {' and '.join(self._created)} are left there"
            ) from None

    def _drop(self) -> None:
        with postgres.connect(self.admin()) as connection:
            for name in self._created:
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
            for role in roles.TELEMETRY if self._made_roles else ():
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
