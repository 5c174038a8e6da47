"""Receipts, representatives, corrections and due dates, through the commands."""

import json
from pathlib import Path

import pytest

from tests.fixtures.vault import Office, Refusal, measured
from tests.integration.trust.test_trust_cli import run as run_cli

pytestmark = pytest.mark.database


PURPOSE = "home-monitoring"
GUARDIANS_YES = (
    "--representative-captured-by", "signature", "--representative-text-sha256", "ab" * 32,
    "--representative-locale", "fr-FR", "--representative-given-at", "now",
)  # fmt: skip


def test_a_receipt_is_checked_without_a_database(office: Office, tmp_path: Path) -> None:
    """`verify` accepts a receipt with trust's public key alone, and rejects an outdated one."""
    subject, _ = measured(office)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    office.run("receipt", subject, "--out", str(first))
    office.withdraw(subject)
    office.run("receipt", subject, "--out", str(second))
    key = str(office.settings.keys.folder / "trust.pub")

    def verify(*argv: str) -> tuple[int, str]:
        code, out, errors = run_cli("verify", *argv, "--key", key, "--json")
        return code, errors or json.loads(out)["rows"][0]["state"]

    assert verify(str(first), "--subject", subject) == (0, "accepted")
    assert verify(str(second), "--seen", str(first)) == (0, "withdrawn")
    code, errors = verify(str(first), "--seen", str(second))
    assert (code, "rolled back" in errors) == (1, True)
    assert "expired" in verify(str(first), "--at", "2099-01-01T00:00+00:00")[1]
    assert "Canary" not in first.read_text() + second.read_text()


def test_saying_no_is_no_harder_than_saying_yes(office: Office) -> None:
    """A withdrawal is one command, and needs no argument that a consent does not need."""
    subject, agent = measured(office)
    yes = {"--subject", "--purpose", "--agent", "--binding"}
    no = {"--subject", "--purpose"}
    assert no < yes
    office.run("decision", "withdraw", "--subject", subject, "--purpose", PURPOSE)
    for flag in sorted(no):
        argv = ["decision", "record", "--subject", subject, "--purpose", f"{PURPOSE}@1",
                "--agent", agent, "--binding", "C0:FF:EE:00:00:01"]  # fmt: skip
        place = argv.index(flag)
        with pytest.raises(Refusal, match="required"):
            office.run(*argv[:place], *argv[place + 2 :])


@pytest.mark.parametrize(
    "state", ["refused", "declined", "not_chosen", "not_asked", "unknown", "invalidated"]
)
def test_whatever_is_not_yes_ends_the_measuring(office: Office, state: str) -> None:
    """Each state except accepted ends what was permitted, and the chain records it."""
    subject, _ = measured(office)
    office.run(
        "decision", "record", "--subject", subject, "--purpose", f"{PURPOSE}@1", "--state", state
    )
    assert office.telemetry.fetch(
        "SELECT bool_and(withdrawn_at IS NOT NULL) FROM vv.permissions"
    ) == [(True,)]
    rows = office.run("decision", "list", "--subject", subject)["rows"]
    assert [row["state"] for row in rows] == ["accepted", state]


def test_a_grant_never_exceeds_the_offer(office: Office) -> None:
    """A quantity or recipient that the policy does not name cannot be granted."""
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    for more in (["--quantities", "rr_interval"], ["--recipients", "insurer"]):
        with pytest.raises(Refusal, match="does not"):
            office.accept(subject, agent, *more)
    reply = office.accept(subject, agent, "--recipients", "")
    assert reply["handle"]


def test_a_minor_consents_with_a_guardian(office: Office) -> None:
    """A child under 15 needs a guardian and is asked as well; a joint consent ends at 18."""
    office.load_policy()
    agent, _ = office.enrol()
    subject = office.run("subject", "add", "--name", "Ada", "--born", "2014-05")["subject"]
    with pytest.raises(Refusal, match="below 15"):
        office.accept(subject, agent)
    guardian = office.run(
        "representative",
        "add",
        "--subject",
        subject,
        "--name",
        "Byron",
        "--role",
        "guardian",
        "--shown-by",
        "birth-certificate",
    )["representative"]
    with pytest.raises(Refusal, match="asked too"):
        office.accept(subject, agent, "--given-by", "guardian", "--representative", guardian)
    joint = ("--given-by", "joint", "--representative", guardian)
    with pytest.raises(Refusal, match="--representative-captured-by"):
        office.accept(subject, agent, *joint)
    office.accept(subject, agent, *joint, *GUARDIANS_YES)

    rows = office.run("decision", "list", "--subject", subject)["rows"]
    assert [(row["given_by"], row["valid_to"][:10]) for row in rows] == [("joint", "2032-06-01")]
    assert office.telemetry.fetch("SELECT DISTINCT valid_to::date::text FROM vv.permissions") == [
        ("2032-06-01",)
    ]
    coming = office.run("request", "list", "--all")["rows"]
    assert [(row["kind"], row["due_at"][:10]) for row in coming] == [
        ("own-decision", "2029-06-01")
    ]
    assert office.run("request", "list")["rows"] == []
    office.run("representative", "end", guardian)
    with pytest.raises(Refusal, match="not in force"):
        office.accept(subject, agent, *joint, *GUARDIANS_YES)
    # A refusal needs no mandate.
    office.run("decision", "withdraw", "--subject", subject, "--purpose", PURPOSE)
    assert office.run("request", "list", "--all")["rows"] == []


def test_another_persons_representative_has_no_say(office: Office) -> None:
    """A representative has a mandate for one person only."""
    office.load_policy()
    agent, _ = office.enrol()
    ada, bob = office.add_subject(), office.add_subject("Bob")
    proxy = office.run(
        "representative",
        "add",
        "--subject",
        bob,
        "--name",
        "Carol",
        "--role",
        "proxy",
        "--shown-by",
        "mandate",
        "--purposes",
        "all",
    )["representative"]
    with pytest.raises(Refusal, match="no such representative"):
        office.accept(ada, agent, "--given-by", "proxy", "--representative", proxy)


def test_a_period_is_a_date(office: Office) -> None:
    """`--valid-for` counts from the begin of the decision, and excludes `--valid-to`."""
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    begins = "2099-01-01T00:00:00+00:00"
    office.accept(subject, agent, "--valid-from", begins, "--valid-for", "30d")
    rows = office.run("decision", "list", "--subject", subject)["rows"]
    assert rows[0]["valid_to"].startswith("2099-01-31T00:00")
    with pytest.raises(Refusal, match="not both"):
        office.accept(subject, agent, "--valid-for", "30d", "--valid-to", begins)


def test_an_identity_is_corrected_and_not_kept_twice(office: Office) -> None:
    """A correction replaces the sealed personal details, and the old ones are gone."""
    subject = office.add_subject("Ada Wrong")
    request = office.run(
        "request", "add", "--subject", subject, "--kind", "rectification", "--received-at", "now"
    )
    reply = office.run(
        "subject", "rectify", subject, "--name", "Ada Right", "--request", request["request"]
    )
    assert reply["rectified"] == ["name"]
    assert office.run("subject", "show", subject)["name"] == "Ada Right"
    assert office.run("request", "list")["rows"] == []
    assert [row["outcome"] for row in office.run("request", "list", "--all")["rows"]] == [
        "granted"
    ]
    fields = office.vault.fetch("SELECT fields FROM vault.rectifications")
    assert fields == [(["name"],)]


def test_requests_are_due_in_a_month(office: Office) -> None:
    """The register shows overdue requests; a request is extended once and closed once."""
    subject = office.add_subject()
    reply = office.run(
        "request", "add", "--subject", subject, "--kind", "access",
        "--received-at", "2026-01-31T10:00:00+00:00",
    )  # fmt: skip
    assert reply["due_at"] == "2026-02-28T10:00:00+00:00"
    assert office.run("request", "list")["rows"][0]["urgency"] == "overdue"
    with pytest.raises(Refusal, match="overdue"):
        office.run("request", "extend", reply["request"], "--because", "three systems")
    fresh = office.run(
        "request", "add", "--subject", subject, "--kind", "portability", "--received-at", "now"
    )
    extended = office.run("request", "extend", fresh["request"], "--because", "three systems")
    assert extended["due_at"] > fresh["due_at"]
    with pytest.raises(Refusal, match="extended before"):
        office.run("request", "extend", fresh["request"], "--because", "again")
    office.run("request", "close", reply["request"], "--outcome", "granted")
    with pytest.raises(Refusal):
        office.run("request", "close", reply["request"], "--outcome", "refused")
