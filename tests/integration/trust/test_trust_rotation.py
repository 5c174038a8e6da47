"""
Rotation of pseudonyms: series move to a new epoch, handles stay, and an old key can be
destroyed.
"""

from pathlib import Path

import pytest

from tests.fixtures.vault import Office, Refusal, measured, pseudonyms
from tests.integration.trust.test_trust_reidentification import Staff
from trust.errors import Unavailable
from trust.reconcile import rotation

pytestmark = pytest.mark.database


PURPOSE = "home-monitoring"


def test_rotation_moves_series_and_keeps_handles(office: Office) -> None:
    """After a rotation the same handle writes into a new series, and so does a new consent."""
    subject, agent = measured(office)
    other, _ = measured(office, agent=office.enrol()[0])
    rows = "SELECT handle, quantity, series_id, withdrawn_at FROM vv.permissions ORDER BY 1, 2"
    before, old = office.telemetry.fetch(rows), set(pseudonyms(office))

    reply = office.run("pseudonym", "rotate", "--purpose", PURPOSE)

    after, new = office.telemetry.fetch(rows), set(pseudonyms(office)) - old
    assert (reply["epoch"], reply["handles"], reply["agents"]) == (2, 2, 2)
    assert [row[:2] for row in before] == [row[:2] for row in after]
    assert all(a[2] != b[2] and a[3] is None for a, b in zip(after, before, strict=True))
    assert len(new) == 2
    office.withdraw(subject)
    office.accept(subject, agent, "--quantities", "heart_rate")
    assert set(pseudonyms(office)) == old | new
    assert office.withdraw(other)["withdrawn_at"] is not None


def test_rotation_that_was_cut_off_is_finished(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A rotation that was killed in the middle continues in the same epoch, and moves each handle
    once.
    """
    for _ in range(5):
        measured(office, agent=office.enrol()[0])
    monkeypatch.setattr(rotation, "_GROUP", 2)
    moved = []

    def cut_off(agents: list[str]) -> None:
        moved.append(len(agents))
        if len(moved) == 2:
            raise Unavailable("test")
        type(office.app.reconciler).reconcile(office.app.reconciler, agents)

    monkeypatch.setattr(office.app.reconciler, "reconcile", cut_off)
    with pytest.raises(Unavailable):
        office.app.rotation.rotate(PURPOSE)
    monkeypatch.undo()

    reply = office.run("pseudonym", "rotate", "--purpose", PURPOSE)
    assert (reply["epoch"], reply["handles"], reply["resumed"]) == (2, 1, True)
    # The daemon finds changes that were recorded and not applied.
    office.app.reconciler.reconcile(
        [str(row[0]) for row in office.vault.fetch("SELECT agent FROM vault.agents")]
    )
    assert office.vault.fetch("SELECT DISTINCT key_epoch FROM vault.handles") == [(2,)]
    assert len(pseudonyms(office)) == 10
    assert office.run("pseudonym", "epochs")["rows"][0]["state"] == "moved"


def test_an_old_epoch_is_destroyed_alone(office: Office, tmp_path: Path) -> None:
    """
    The key of an epoch without handles can be destroyed; its pseudonyms can then not be
    resolved.
    """
    measured(office)
    office.run("pseudonym", "rotate", "--purpose", PURPOSE)
    second = pseudonyms(office)
    destroy = ["pseudonym", "destroy", "--purpose", PURPOSE, "--epoch"]
    for epoch, why in (("1", "the first epoch"), ("2", "in force")):
        with pytest.raises(Refusal, match=why):
            office.run(*destroy, epoch, "--yes")
    office.run("pseudonym", "rotate", "--purpose", PURPOSE)
    with pytest.raises(Refusal, match="Give --yes"):
        office.run(*destroy, "2")
    assert office.run(*destroy, "2", "--yes")["destroyed"]

    staff = Staff(office, tmp_path)
    request = staff.ask(second)
    staff.do("approve", "dpo", request)
    staff.do("approve", "guard", request)
    assert len(staff.do("open", "nurse", request)["rows"]) == 1, "that of the first epoch"
