"""
Databases and roles with preset settings, as dumps and operators leave them: commands work, or name
the setting.

A preset that makes withdrawals fail while rows are still stored would break two promises at once.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.database.postgres import WITH_PUBLIC, connect
from simulators.stack.postgres import Postgres
from tests.acceptance.test_withdrawal_race import Race
from tests.fixtures.database import Database, create_database
from tests.fixtures.vault import Office, Refusal, create_vault, make_office, measured
from tests.support.databases.presets import REFUSED, REPAIRED, preset
from trust.composition import App

pytestmark = [pytest.mark.database, pytest.mark.slow]

_OPEN = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL AND agent = %s"
_PRESETS = [
    *(pytest.param({name: value}, id=name) for name, value in REPAIRED.items()),
    pytest.param(REPAIRED, id="everything at once"),
]
_NAMES = "Zoë Ångström-Ćanary"


class Steady(Database, frozen=True):
    """A database that the test can query itself, whatever is preset."""

    def fetch(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        """Return the rows of *query*, as the superuser."""
        with connect(self.dsn(), path=WITH_PUBLIC) as connection:
            return connection.execute(query.encode(), arguments).fetchall()


@pytest.fixture(scope="module")
def office(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Trust with two databases that all tests of this file share."""
    made = make_office(
        create_vault(postgres, tmp_path_factory.mktemp("office")),
        create_database(postgres),
        tmp_path_factory.mktemp("office"),
    )
    made.load_policy()
    for which in ("vault", "telemetry"):
        found: Database = getattr(made, which)
        setattr(made, which, Steady(found.server, found.name, found.variant))
    yield made
    made.app.close()


@contextlib.contextmanager
def anew(office: Office) -> Iterator[None]:
    """Connect *office* again, as a newly started command does."""
    before, office.app = office.app, App(office.settings)
    try:
        yield
    finally:
        office.app.close()
        office.app = before


def _all_commands(office: Office, folder: Path) -> None:
    """Run every command of trust for a person, and check that it took effect."""
    subject = office.add_subject(_NAMES)
    agent, bundle = office.enrol()
    office.accept(subject, agent, "--quantities", "heart_rate,glucose_interstitial")
    assert len(office.lease(agent, bundle).grants) == 1
    assert office.telemetry.fetch(_OPEN, agent) == [(2,)]
    secret, out = folder / "secret", folder / "package"
    secret.touch(mode=0o600)
    secret.write_text("a passphrase of these tests\n")
    argv = ("export", "make", subject, "--out", str(out), "--passphrase-file", str(secret))
    assert json.dumps(office.run(*argv))
    found = office.run("subject", "list")
    assert subject in json.dumps(found)
    assert _NAMES in json.dumps(office.run("subject", "show", subject), ensure_ascii=False)
    office.run("pseudonym", "rotate", "--purpose", "home-monitoring")
    office.run("lease", "publish", "--renew", agent)
    office.run("restrict", subject)
    assert office.telemetry.fetch(_OPEN, agent) == [(0,)]
    office.run("unrestrict", subject)
    office.accept(subject, agent, "--quantities", "heart_rate")
    assert office.telemetry.fetch(_OPEN, agent) == [(1,)]
    assert office.withdraw(subject)["withdrawn_at"]
    assert office.telemetry.fetch(_OPEN, agent) == [(0,)]
    assert office.run("audit")
    assert office.run("erase", subject, "--scope", "all", "--yes")


@pytest.mark.parametrize("settings", _PRESETS)
def test_all_commands_work_beside_a_preset(
    office: Office, settings: dict[str, str], tmp_path: Path
) -> None:
    """Each command has the same effect with any preset of both databases as without."""
    with preset([office.vault, office.telemetry], settings), anew(office):
        _all_commands(office, tmp_path)


@pytest.mark.parametrize("scope", ["role", "role in database"])
def test_all_commands_work_beside_presets_of_roles(
    office: Office, scope: str, tmp_path: Path
) -> None:
    """
    Each command also works with presets of trust's role and of the owner who rewrites
    tables.
    """
    where = [office.vault, office.telemetry]
    with (
        preset(where, REPAIRED, scope=scope),
        preset(where, REPAIRED, scope=scope, role="vv_owner"),
        anew(office),
    ):
        _all_commands(office, tmp_path)


@pytest.mark.parametrize("name", REFUSED)
def test_commands_name_the_setting_that_they_refuse(office: Office, name: str) -> None:
    """
    A withdrawal beside a setting that trust refuses changes nothing, and its error names the
    setting.
    """
    subject, _ = measured(office)
    before = office.vault.fetch("SELECT count(*) FROM vault.decisions")
    with (
        preset([office.vault], {name: REFUSED[name]}),
        anew(office),
        pytest.raises(Refusal, match=name),
    ):
        office.withdraw(subject)
    assert office.vault.fetch("SELECT count(*) FROM vault.decisions") == before


async def test_no_row_after_the_withdrawal_beside_presets(
    office: Office, database: Database
) -> None:
    """With all presets at once, no row is stored after the COMMIT of a withdrawal."""
    trust = office.settings.telemetry
    dsn = trust.dsn.replace(f"dbname={office.telemetry.name}", f"dbname={database.name}")
    race = Race(database, type(trust)(dsn, trust.password_file), rounds=30, seed=7)
    race.sow()
    with preset([database], REPAIRED):
        await race.run()
    assert race.leaked() == 0
    assert race.stored > 30
