"""Lists of decisions, requests, exports, policies and gateways, with their filters."""

import datetime as dt
from pathlib import Path

import pytest

from tests.fixtures.vault import Office, Refusal


def _rows(office: Office, *argv: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = office.run(*argv)["rows"]
    return rows


def test_decisions_of_everybody_are_listed(office: Office) -> None:
    """By person, state, purpose and end; a damaged chain is named, and the others are listed."""
    office.load_policy()
    agent, _ = office.enrol()
    ada, bo = office.add_subject("Ada"), office.add_subject("Bo")
    office.accept(ada, agent, "--valid-for", "20d")
    office.accept(bo, agent, binding="C0:FF:EE:00:00:02")
    (first,) = _rows(office, "decision", "list", "--subject", ada)
    purpose = str(first["purpose"]).partition("@")[0]
    office.run("decision", "withdraw", "--subject", bo, "--purpose", purpose)

    assert [
        row["subject"] for row in _rows(office, "decision", "list", "--ends-within", "30d")
    ] == [ada]
    assert _rows(office, "decision", "list", "--ends-within", "10d") == []
    assert {row["subject"] for row in _rows(office, "decision", "list")} == {ada, bo}
    latest = _rows(office, "decision", "list", "--latest", "--state", "accepted")
    assert [row["subject"] for row in latest] == [ada]
    assert len(_rows(office, "decision", "list", "--purpose", purpose)) == 3
    assert _rows(office, "decision", "list", "--purpose", "another") == []

    office.vault.execute("UPDATE vault.decisions SET signature = '\\x00' WHERE subject = %s", bo)
    found = office.run("decision", "list")
    assert (found["problems"], found["unreadable_subjects"]) == (1, [bo])
    assert {row["subject"] for row in found["rows"]} == {ada}


def test_requests_are_listed_by_kind_person_and_due_date(office: Office) -> None:
    """Overdue ones alone, of one kind, of one person."""
    ada, bo = office.add_subject("Ada"), office.add_subject("Bo")
    late = (dt.datetime.now(dt.UTC) - dt.timedelta(days=60)).isoformat()
    made = {
        name: office.run(
            "request", "add", "--subject", who, "--kind", kind, "--received-at", at
        )["request"]
        for name, who, kind, at in (
            ("late", ada, "access", late),
            ("new", ada, "erasure", "now"),
            ("bo", bo, "access", "now"),
        )
    }  # fmt: skip

    def listed(*more: str) -> set[object]:
        return {row["request"] for row in _rows(office, "request", "list", *more)}

    assert listed() == set(made.values())
    assert listed("--overdue") == {made["late"]}
    assert listed("--kind", "access") == {made["late"], made["bo"]}
    assert listed("--subject", ada, "--kind", "erasure") == {made["new"]}


def test_exports_are_listed_until_they_are_deleted(office: Office, tmp_path: Path) -> None:
    """A deleted one is listed with --all."""
    ada, bo = office.add_subject("Ada"), office.add_subject("Bo")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    secret.chmod(0o600)
    office.run(
        "export", "make", ada, "--out", str(tmp_path / "ada.vve"),
        "--passphrase-file", str(secret), "--available-for", "1ms",
    )  # fmt: skip
    (row,) = _rows(office, "export", "list")
    assert (row["subject"], row["file"]) == (ada, str(tmp_path / "ada.vve"))
    assert _rows(office, "export", "list", "--subject", bo) == []
    office.run("export", "purge", "--yes")
    assert _rows(office, "export", "list") == []
    (row,) = _rows(office, "export", "list", "--all")
    assert row["deleted_at"] is not None


def test_policies_are_listed_and_shown(office: Office) -> None:
    """Each version with its basis; one with the detail of each quantity and its unit."""
    office.load_policy()
    (row,) = _rows(office, "policy", "list")
    assert row["newest"] is True
    name = str(row["purpose"])
    shown = office.run("policy", "show", name)
    assert shown == office.run("policy", "show", name.partition("@")[0])
    steps = {one["quantity"]: one["step"] for one in shown["rows"]}
    assert sorted(steps) == row["quantities"]
    assert str(steps["heart_rate"]).endswith("/min")
    assert _rows(office, "policy", "list", "--purpose", "another") == []
    for missing in ("another", f"{name}x", name.partition("@")[0] + "@9"):
        with pytest.raises(Refusal, match="no such purpose"):
            office.run("policy", "show", missing)


def test_gateways_are_listed_by_state_and_end(office: Office) -> None:
    """Those in service, revoked, or with a certificate that ends soon."""
    kept, _ = office.enrol()
    gone, _ = office.enrol()
    office.run("pki", "revoke", gone, "--yes")

    def listed(*more: str) -> list[object]:
        return [row["agent"] for row in _rows(office, "agent", "list", *more)]

    assert sorted(map(str, listed())) == sorted([kept, gone])
    assert listed("--state", "in-service") == [kept]
    assert listed("--state", "revoked") == [gone]
    assert listed("--state", "suspect") == []
    assert listed("--state", "in-service", "--certificate-ends-within", "366d") == [kept]
    assert listed("--certificate-ends-within", "10d") == []
    assert listed("--lease-ends-within", "1ms") == []
