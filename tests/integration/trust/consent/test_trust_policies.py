"""
A wider version of a policy needs the approval of two officers, and its admission is
recorded.
"""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.vault import Office, Refusal
from trust.reidentification.reidentification import make_key

pytestmark = pytest.mark.database

CARE = """\
purpose: care@1
art6: 6.1.a
art9: 9.2.a
recipients: [care-team]
quantities:
  heart_rate: {round: 5, min_interval: 60s, time_rounding: 10s, aggregate: mean}
deny: [rr_interval]
retention: {raw: 30d, aggregates: 365d}
"""
WIDE = """\
purpose: care@2
art6: 6.1.a
art9: 9.2.a
recipients: [care-team, insurer]
quantities:
  heart_rate: {round: 1, min_interval: 1s, time_rounding: 1s, aggregate: first}
  rr_interval: {round: 1, min_interval: 1ms, time_rounding: 1ms, aggregate: first}
retention: {raw: 7305d, aggregates: 7305d}
"""
NARROW = CARE.replace("@1", "@2").replace("round: 5", "round: 10")
_LOADED = "SELECT version FROM vault.purposes WHERE purpose = 'care' ORDER BY version"


def write(office: Office, text: str, name: str = "policy.yaml") -> Path:
    """Write a policy file."""
    path = office.folder / name
    path.write_text(text)
    return path


def approve(office: Office, path: Path, number: int, key: int | None = None) -> dict[str, Any]:
    """Approve a policy, as the officer with this number."""
    officers = office.officers()
    file = officers[number if key is None else key][1]
    return office.run(
        "policy", "approve", str(path), "--officer", officers[number][0], "--key", str(file)
    )


@pytest.fixture
def agreed(office: Office) -> str:
    """A person who consented to the first version."""
    office.run("policy", "load", "--first", str(write(office, CARE)))
    office.load_policy()
    office.enrol()
    return office.add_subject()


def test_a_wider_version_takes_two_officers(office: Office, agreed: str) -> None:
    """
    Loading a wider version says what it widens, and is refused until two different officers have
    signed.
    """
    path = write(office, WIDE)
    checked = office.run("policy", "check", str(path))
    told = " ".join(row["widens"] for row in checked["rows"])
    for words in ("rr_interval is measured", "rr_interval is denied no more", "insurer receives",
                  "7305 days instead of 30", "1 s instead of 1 min", "first is kept"):  # fmt: skip
        assert words in told
    for approved in range(2):
        with pytest.raises(Refusal, match=rf"widens what was agreed.*insurer.*and {approved} did"):
            office.run("policy", "load", str(path))
        with pytest.raises(Refusal, match="--first is for"):
            office.run("policy", "load", "--first", str(path))
        approve(office, path, approved)
    assert office.vault.fetch(_LOADED) == [(1,)]

    loaded = office.run("policy", "load", str(path))

    assert loaded["added"]
    assert len(loaded["approved_by"]) == 2
    assert office.vault.fetch(_LOADED) == [(1,), (2,)]
    assert office.run("audit")["problems"] == 0
    # Loading the same version again changes nothing.
    assert not office.run("policy", "load", str(path))["added"]


def test_one_person_is_not_two(office: Office, agreed: str) -> None:
    """
    One person cannot approve twice, with another officer's key, or as an officer who has
    left.
    """
    path = write(office, WIDE)
    approve(office, path, 0)
    with pytest.raises(Refusal, match="A different officer"):
        approve(office, path, 0)
    with pytest.raises(Refusal, match="not that officer's"):
        approve(office, path, 1, key=0)
    approve(office, path, 1)
    office.run("officer", "end", office.officers()[1][0])
    with pytest.raises(Refusal, match="and 1 did"):
        office.run("policy", "load", str(path))
    with pytest.raises(Refusal, match="one no more"):
        approve(office, path, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("insurer", "another", id="another recipient"),
        pytest.param("art6", "# seen\nart6", id="a comment"),
        pytest.param("7305d, aggregates", "7304d, aggregates", id="less by a day"),
    ],
)
def test_an_approval_is_of_that_very_file(office: Office, agreed: str, old: str, new: str) -> None:
    """An approval holds for exactly the bytes of one file."""
    path = write(office, WIDE)
    approve(office, path, 0)
    approve(office, path, 1)
    path.write_text(WIDE.replace(old, new, 1))
    with pytest.raises(Refusal, match="and 0 did"):
        office.run("policy", "load", str(path))


def test_an_approval_is_of_what_was_shown(office: Office, agreed: str) -> None:
    """An approval does not hold if another version was loaded after it was shown."""
    third = write(office, WIDE.replace("@2", "@3"), "third.yaml")
    approve(office, third, 0)
    approve(office, third, 1)
    office.run("policy", "load", str(write(office, NARROW, "second.yaml")))
    with pytest.raises(Refusal, match=r"care@2.*and 0 did"):
        office.run("policy", "load", str(third))


def test_an_old_approval_counts_no_more(office: Office, agreed: str) -> None:
    """An approval that is too old or is signed for a future time does not count."""
    path = write(office, WIDE)
    approve(office, path, 0)
    approve(office, path, 1)
    document = office.vault.fetch("SELECT document FROM vault.policy_approvals LIMIT 1")[0][0]
    assert isinstance(document, bytes)
    at = re.search(rb'"approved_at":"([^"]+)"', document)
    assert at is not None
    # A changed time is not covered by the signature.
    office.vault.execute(
        "UPDATE vault.policy_approvals SET document = convert_to(replace(convert_from(document,"
        " 'UTF8'), %s, '2020-01-01T00:00:00Z'), 'UTF8') WHERE position = 1", at.group(1).decode(),
    )  # fmt: skip
    with pytest.raises(Refusal, match="and 1 did"):
        office.run("policy", "load", str(path))


def test_a_narrower_version_takes_nobody(office: Office, agreed: str) -> None:
    """A version that widens nothing needs no approval."""
    path = write(office, NARROW)
    with pytest.raises(Refusal, match="needs no approval"):
        approve(office, path, 0)
    assert office.run("policy", "load", str(path))["widens"] == []
    assert office.run("audit")["problems"] == 0


def test_whom_it_is_held_against(office: Office, agreed: str) -> None:
    """
    A version is compared with every version that people decided on, and versions must
    increase.
    """
    agent = str(office.vault.fetch("SELECT agent FROM vault.agents")[0][0])
    office.accept(agreed, agent, "--purpose", "care@1")
    wide = write(office, WIDE, "wide.yaml")
    office.load(wide)
    third = write(office, WIDE.replace("@2", "@3"), "third.yaml")
    rows = office.run("policy", "check", str(third))["rows"]
    assert {row["against"] for row in rows} == {"care@1"}
    office.run("policy", "load", str(write(office, NARROW.replace("@2", "@4"))))
    with pytest.raises(Refusal, match="count up"):
        office.run("policy", "load", str(third))


def test_a_first_version_is_wider_than_nothing(office: Office, agreed: str) -> None:
    """Where people exist, the first version of a new purpose needs two officers as well."""
    path = write(office, WIDE.replace("care@2", "research@1"))
    with pytest.raises(Refusal, match=r"first version.*received by: care-team, insurer"):
        office.run("policy", "load", str(path))
    office.load(path)
    assert office.run("audit")["problems"] == 0


@pytest.mark.parametrize("who", ["nobody", "person", "erased", "officer", "former officer"])
def test_a_fresh_installation_stays_fresh_until_somebody_comes(office: Office, who: str) -> None:
    """
    `--first` must be given explicitly, and is refused for good after the first person or
    officer.
    """
    path = write(office, CARE)
    if who in ("person", "erased"):
        subject = office.add_subject()
        if who == "erased":
            office.run("erase", subject, "--scope", "all", "--yes")
    elif who != "nobody":
        make_key(office.folder / "one.key")
        added = office.run(
            "officer", "add", "--role", "dpo", "--public-key", str(office.folder / "one.pub")
        )
        if who == "former officer":
            office.run("officer", "end", added["officer"])
    if who == "nobody":
        with pytest.raises(Refusal, match="give --first"):
            office.run("policy", "load", str(path))
        assert office.run("policy", "load", "--first", str(path))["added"]
        return
    with pytest.raises(Refusal, match="--first is for"):
        office.run("policy", "load", "--first", str(path))


def test_a_wider_version_reaches_nobody_who_agreed_before(office: Office, agreed: str) -> None:
    """
    A person who consented to the first version is measured by it, even if a wider one is
    approved.
    """
    agent, bundle = office.enrol()
    handle = office.accept(agreed, agent, "--purpose", "care@1")["handle"]
    before = office.lease(agent, bundle).grants
    permitted = office.telemetry.fetch(
        "SELECT handle, quantity, step, interval_ms FROM vv.permissions ORDER BY 1, 2"
    )
    office.load(write(office, WIDE))

    office.run("lease", "publish", "--renew", agent)

    assert office.lease(agent, bundle).grants == before
    assert [grant.handle.hex() for grant in before] == [handle]
    assert permitted == office.telemetry.fetch(
        "SELECT handle, quantity, step, interval_ms FROM vv.permissions ORDER BY 1, 2"
    )


@pytest.mark.parametrize(
    ("meddle", "problem"),
    [
        pytest.param("DELETE FROM vault.policy_approvals WHERE position = 1", "approval",
                     id="an approval deleted"),
        pytest.param("UPDATE vault.policy_approvals SET signature = '' WHERE position = 1",
                     "approval", id="an approval forged"),
        pytest.param("UPDATE vault.policy_approvals SET approver = approver, document ="
                     " (SELECT document FROM vault.policy_approvals WHERE position = 2)"
                     " WHERE position = 1", "approval", id="one person twice"),
        pytest.param("DELETE FROM vault.policy_approvals; DELETE FROM vault.policy_admissions"
                     " WHERE version = 2", "is missing", id="all of it deleted"),
        pytest.param("UPDATE vault.policy_admissions SET signature = ''", "not verify",
                     id="the admission forged"),
        pytest.param("UPDATE vault.policy_admissions a SET document = b.document, signature ="
                     " b.signature FROM vault.policy_admissions b WHERE a.version = 2 AND"
                     " b.version = 1 AND b.purpose = 'care'", "not verify",
                     id="another's admission"),
    ],
)  # fmt: skip
def test_what_is_taken_from_the_record_is_missed(
    office: Office, agreed: str, meddle: str, problem: str
) -> None:
    """The audit names a version whose admission was deleted or changed."""
    office.load(write(office, WIDE))
    assert office.run("audit")["problems"] == 0

    for statement in meddle.split(";"):
        office.vault.execute(statement)

    found = office.run("audit")
    assert found["problems"] > 0
    assert ("care@2", True) in [
        (row["purpose"], problem in row["problem"]) for row in found["rows"]
    ]


def test_a_version_that_is_gone_is_missed(office: Office, agreed: str) -> None:
    """A deleted version without any decision is noticed as well."""
    office.load(write(office, WIDE))
    office.run("audit")
    office.vault.execute("DELETE FROM vault.policy_admissions WHERE version = 2")
    office.vault.execute("DELETE FROM vault.purposes WHERE version = 2")
    assert office.run("audit")["policies_gone"] == 1


def test_versions_of_before_are_counted_and_no_problem(office: Office, agreed: str) -> None:
    """Versions from before approvals existed are counted, and are no problem."""
    office.vault.execute("DELETE FROM vault.policy_admissions")
    found = office.run("audit")
    assert (found["problems"], found["policies_unapproved"]) == (0, 2)


def test_the_record_is_append_only(office: Office) -> None:
    """Trust's role can neither change nor delete an admission."""
    privileges = office.vault.fetch(
        "SELECT DISTINCT privilege_type FROM information_schema.column_privileges"
        " WHERE grantee = 'vv_trust' AND table_name IN ('policy_approvals', 'policy_admissions')"
    )
    assert set(privileges) == {("INSERT",), ("SELECT",)}


def test_the_text_of_the_policy_is_the_one_that_is_shown(office: Office) -> None:
    """If a policy names its texts, a consent to another text is refused."""
    text = office.folder / "text.txt"
    text.write_text("May we measure?")
    digest = "0b9f0d4a" + "0" * 56
    named = CARE + f'texts: {{en-GB: "{digest}"}}\n'
    office.run("policy", "load", "--first", str(write(office, named)))
    subject, (agent, _) = office.add_subject(), office.enrol()
    care = ("--purpose", "care@1")
    with pytest.raises(Refusal, match="not the one that care@1 names"):
        office.accept(subject, agent, *care)
    with pytest.raises(Refusal, match="no text for that --locale"):
        office.accept(subject, agent, *care, "--locale", "de-DE")
    office.accept(subject, agent, *care, "--text-sha256", digest)
    with office.app.vault.transaction() as records:
        (decision,) = records.decisions.chain(UUID(subject), "care")
    assert decision.capture.text_sha256 == digest
