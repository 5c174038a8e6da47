"""Re-identification of a pseudonym with two approvals, once, and only as it was requested."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.vault import Office, Refusal, measured, pseudonyms
from tests.integration.trust.test_trust_cli import run as run_cli

pytestmark = pytest.mark.database


PURPOSE = "home-monitoring"


class Staff:
    """Five officers with keys of their own."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.folder = folder
        self.ids: dict[str, str] = {}
        for name, role in (
            ("nurse", "operator"),
            ("dpo", "dpo"),
            ("doctor", "physician"),
            ("guard", "security"),
            ("other", "security"),
        ):
            code, _, errors = run_cli("officer", "key", "--out", str(folder / f"{name}.key"))
            assert code == 0, errors
            self.ids[name] = office.run(
                "officer", "add", "--role", role, "--public-key", str(folder / f"{name}.pub")
            )["officer"]

    def do(self, action: str, who: str, *argv: str, key: str | None = None) -> dict[str, Any]:
        """Run *action* as one of the officers."""
        return self.office.run(
            "reidentify", action, *argv, "--officer", self.ids[who],
            "--key", str(self.folder / f"{key or who}.key"),
        )  # fmt: skip

    def ask(self, names: list[str]) -> str:
        """Request names, as the nurse."""
        reply = self.do(
            "request", "nurse", "--purpose", PURPOSE, "--pseudonyms", ",".join(names),
            "--basis", "safety", "--reason", "a dangerous fall of glucose in the night",
        )  # fmt: skip
        request: str = reply["request"]
        return request

    def log(self) -> list[tuple[str, str]]:
        """Return every attempt, the first one first."""
        rows = self.office.run("reidentify", "log")["rows"]
        return [(row["action"], row["outcome"]) for row in reversed(rows)]


def test_two_others_give_a_pseudonym_its_name_once(office: Office, tmp_path: Path) -> None:
    """With two approvals the requester sees the name once, and every attempt is recorded."""
    measured(office)
    staff = Staff(office, tmp_path)
    request = staff.ask([*pseudonyms(office), "00" * 16])
    attempts: list[tuple[str, str, str | None, str | None]] = [
        ("open", "nurse", None, "too few"),
        ("approve", "nurse", None, "requester approves"),
        ("approve", "guard", "other", "bad signature"),
        ("approve", "guard", None, None),
        ("approve", "guard", None, "same person"),
        ("open", "nurse", None, "too few"),
        ("approve", "other", None, None),
        ("open", "nurse", None, "no dpo or physician"),
        ("approve", "dpo", None, None),
        ("open", "dpo", None, "not the requester"),
        ("open", "nurse", "guard", "bad signature"),
    ]
    for action, who, key, refusal in attempts:
        if refusal is None:
            staff.do(action, who, request, key=key)
        else:
            with pytest.raises(Refusal, match=refusal):
                staff.do(action, who, request, key=key)

    rows = staff.do("open", "nurse", request)["rows"]
    assert [(row["name"], row["pseudonym"]) for row in rows] == [
        ("Ada Canary", pseudonyms(office)[0])
    ]
    with pytest.raises(Refusal, match="replayed"):
        staff.do("open", "nurse", request)
    assert staff.log() == [
        ("request", "done"),
        *[(action, (refusal or "done").replace(" ", "_")) for action, _, _, refusal in attempts],
        ("open", "done"),
        ("open", "replayed"),
    ]
    with pytest.raises(Refusal, match="no such request"):
        staff.do("open", "nurse", str(UUID(int=5)))


def test_a_request_changed_in_the_vault_is_not_opened(office: Office, tmp_path: Path) -> None:
    """An attacker with write access to the vault cannot add a pseudonym to an approved request."""
    measured(office)
    staff = Staff(office, tmp_path)
    request = staff.ask(["00" * 16])
    staff.do("approve", "dpo", request)
    staff.do("approve", "guard", request)
    office.vault.execute(
        "UPDATE vault.reidentifications SET document = convert_to("
        "replace(convert_from(document, 'UTF8'), %s, %s), 'UTF8')",
        "00" * 16, pseudonyms(office)[0],
    )  # fmt: skip
    with pytest.raises(Refusal, match="bad signature"):
        staff.do("open", "nurse", request)


def test_no_more_than_ten_requests_a_day(office: Office, tmp_path: Path) -> None:
    """An eleventh request of an officer within a day is refused, and recorded."""
    measured(office)
    staff = Staff(office, tmp_path)
    for _ in range(10):
        staff.ask(["00" * 16])
    with pytest.raises(Refusal, match="too many"):
        staff.ask(["00" * 16])
    assert staff.log()[-1] == ("request", "too_many")
