"""The doctor names units that trust has set aside, and missing keys."""

from pathlib import Path

import psycopg
import pytest

from tests.fixtures.vault import Office, measured
from tests.support import poisons
from tests.support.poisons import POISONS, want
from trust.composition import App
from vitalveil.doctor import units
from vitalveil.doctor.finding import Finding, Level

pytestmark = pytest.mark.database


def _found(office: Office, folder: Path | None = None) -> list[Finding]:
    server = office.vault.server
    dsn = f"host=127.0.0.1 port={server.port} dbname={office.vault.name} user=vv_trust"
    with psycopg.connect(dsn, password=server.password, autocommit=True) as connection:
        found = list(units.look(connection, folder or office.settings.keys.folder))
    return [one for one in found if one.level is Level.WRONG]


def test_a_sound_vault_has_nothing_wrong(office: Office) -> None:
    """The doctor finds nothing wrong with a sound vault."""
    measured(office)

    assert _found(office) == []


@pytest.mark.parametrize("name", POISONS)
def test_each_unit_is_named_with_its_remedy(office: Office, name: str) -> None:
    """
    For each unit that is set aside the doctor says which, why and what to do, without a person's
    name.
    """
    subject, agent = measured(office)
    if "too large" in name:
        pytest.skip("this office's broker takes it")
    plant, cause = POISONS[name]
    plant(office, agent, subject)
    office.app.close()
    office.app = App(office.settings)
    want(office, agent)
    office.app.reconciler.attempt([agent])

    found = {one.code: one for one in _found(office)}

    one = found[f"unit-{cause.replace('_', '-')}"]
    assert one.remedy
    assert agent in one.text or subject in one.text or "study-" in one.text
    assert "Canary" not in str(found)


def test_a_missing_key_is_named_by_its_purpose(office: Office) -> None:
    """
    A missing key of a purpose is named by the purpose before anything fails, without its
    contents.
    """
    subject, agent = measured(office)
    POISONS["a key that is damaged"][0](office, agent, subject)
    (purpose,) = office.vault.fetch("SELECT purpose FROM vault.epochs")[0]

    (found,) = _found(office)

    assert found.code == "trust-epoch-key"
    assert f"purpose {purpose}, epoch 2" in found.text
    assert "not a key" not in found.text


def test_a_root_key_that_is_missing_is_named(office: Office, tmp_path: Path) -> None:
    """A missing root key is named by its file."""
    assert [one.code for one in _found(office, tmp_path)] == ["trust-keys-file"]


def test_lease_keys_that_are_none_or_shared_are_named(office: Office) -> None:
    """
    Invalid and shared lease keys are named, also at gateways where no person is measured
    yet.
    """
    bad = poisons.enrol_with(office, bytes(32))
    twin = [poisons.enrol_with(office, b"\x09" + bytes(31)) for _ in range(2)]

    found = {one.code: one.text for one in _found(office)}

    assert bad in found["trust-lease-key"]
    assert min(twin) in found["trust-lease-key-twice"]
    assert "1 more" in found["trust-lease-key-twice"]


def test_a_vault_of_an_earlier_release_is_told(office: Office) -> None:
    """A vault with an earlier schema is reported, with the command to migrate."""
    office.vault.execute("DROP TABLE vault.set_aside")

    assert [one.code for one in _found(office)] == ["vault-migrations"]
