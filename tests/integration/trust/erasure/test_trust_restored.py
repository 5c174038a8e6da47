"""Trust after its vault was restored, with the telemetry database or without."""

import datetime as dt

import pytest

from tests.fixtures.vault import Office, Refusal, measured
from trust.cli.commands.gateways import leases
from trust.composition import now

pytestmark = pytest.mark.database


def _version(office: Office, agent: str) -> int:
    """Return the version of the newest lease of the gateway."""
    query = "SELECT lease_version FROM vault.agents WHERE agent = %s"
    return int(str(office.vault.fetch(query, agent)[0][0]))


def _go_back(office: Office, *, with_telemetry: bool) -> None:
    """Delete every lease except the first, as in an older backup."""
    office.vault.execute(
        "UPDATE vault.agents SET lease_version = 1, published_version = 1, applied = wanted"
    )
    if with_telemetry:
        office.telemetry.execute("DELETE FROM vv.leases WHERE version > 1")


def test_a_vault_that_went_back_alone_gives_newer_leases(office: Office) -> None:
    """
    After a restore of the vault alone, the next lease is above the versions in the telemetry
    database.
    """
    _, agent = measured(office)
    for _ in range(3):
        office.run("lease", "publish", "--renew", agent)
    held = _version(office, agent)
    _go_back(office, with_telemetry=False)

    office.run("lease", "publish", "--renew", agent)

    assert _version(office, agent) > held


def test_leases_are_superseded_as_often_as_the_vault_goes_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However often the vault is restored, `supersede` makes the next lease newer than the
    gateway's.
    """
    _, agent = measured(office)
    for _ in range(3):
        office.run("lease", "publish", "--renew", agent)
    for hours in (1, 2):
        held = _version(office, agent)
        _go_back(office, with_telemetry=True)
        monkeypatch.setattr(leases, "now", lambda after=hours: now() + dt.timedelta(hours=after))

        assert office.run("lease", "supersede", "--yes")["agents"] == 1
        office.app.restore_guard.clear()

        assert _version(office, agent) > held


def test_superseding_leases_is_meant(office: Office) -> None:
    """`supersede` does nothing without a confirmation, and says what it may bring back."""
    _, agent = measured(office)

    with pytest.raises(Refusal, match="withdrew after the backup"):
        office.run("lease", "supersede")

    assert _version(office, agent) == 1
