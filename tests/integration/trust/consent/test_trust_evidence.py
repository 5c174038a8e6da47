"""
Evidence of consent through the commands: the person who records it states it, or it is
refused.
"""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.vault import Office, Refusal, measured
from tests.integration.trust.test_trust_cli import run as run_cli
from trust.composition import now
from trust.decisions.decisions import decode

pytestmark = pytest.mark.database

PURPOSE = "home-monitoring"
REFERENCE = f"{PURPOSE}@1"
_COUNT = "SELECT count(*) FROM vault.decisions"


def accept(office: Office, subject: str, *more: str, reference: str = REFERENCE) -> dict[str, Any]:
    """Record a consent with exactly these arguments."""
    agent = office.vault.fetch("SELECT min(agent) FROM vault.agents")[0][0]
    return office.run(
        "decision", "record", "--subject", subject, "--purpose", reference, "--agent", str(agent),
        "--binding", "C0:FF:EE:00:00:01", *more,
    )  # fmt: skip


def newest(office: Office) -> Any:
    """Return the newest decision of all."""
    query = "SELECT document FROM vault.decisions ORDER BY position DESC LIMIT 1"
    document = office.vault.fetch(query)[0][0]
    assert isinstance(document, bytes)
    return decode(document)


def officer(office: Office, name: str, role: str = "operator") -> tuple[str, str]:
    """Return the id of an officer, and the file of their key."""
    key = office.folder / f"{name}.key"
    code, _, errors = run_cli("officer", "key", "--out", str(key))
    assert code == 0, errors
    reply = office.run(
        "officer", "add", "--role", role, "--public-key", str(key.with_suffix(".pub"))
    )
    return str(reply["officer"]), str(key)


@pytest.fixture
def person(office: Office) -> str:
    """An adult, and a gateway for them."""
    office.load_policy()
    office.enrol()
    return office.add_subject()


@pytest.mark.parametrize(
    "option", ["--given-by", "--captured-by", "--text", "--locale", "--given-at"]
)
def test_a_yes_says_how(office: Office, person: str, option: str) -> None:
    """
    Without one of the parts of the evidence nothing is recorded, and the error names the missing
    part.
    """
    place = INVENTED_YES.index("--text-sha256" if option == "--text" else option)
    with pytest.raises(Refusal, match=option):
        accept(office, person, *INVENTED_YES[:place], *INVENTED_YES[place + 2 :])
    with pytest.raises(Refusal, match=option):
        accept(office, person)
    assert office.vault.fetch(_COUNT) == [(0,)]


def test_what_is_signed_is_what_was_said(office: Office, person: str, tmp_path: Path) -> None:
    """The shown text is recorded by the digest of its file; list and receipt show the digest."""
    text = tmp_path / "text.txt"
    text.write_text("May we measure?")
    said = ("--given-by", "self", "--captured-by", "signature", "--text", str(text),
            "--locale", "en-GB", "--given-at", "now")  # fmt: skip
    accept(office, person, *said)

    decision = newest(office)
    row = office.run("decision", "list", "--subject", person)["rows"][0]
    receipt = tmp_path / "receipt.json"
    office.run("receipt", person, "--out", str(receipt))
    key = str(office.settings.keys.folder / "trust.pub")
    code, out, errors = run_cli("verify", str(receipt), "--key", key, "--json")

    assert code == 0, errors
    told = json.loads(out)["rows"][0]
    for found in (row, told):
        assert (found["captured_by"], found["locale"]) == ("signature", "en-GB")
        assert (found["evidence"], found["given_by"]) == ("stated", "self")
        assert found["text_sha256"] == decision.capture.text_sha256 != None  # noqa: E711
    assert told["basis"] == "consent"


@pytest.mark.parametrize(
    ("given_at", "message"),
    [
        pytest.param(dt.timedelta(hours=1), "future", id="to come"),
        pytest.param(dt.timedelta(days=-1), "loaded", id="before the version was there"),
    ],
)
def test_a_yes_was_given_when_it_could_be(
    office: Office, person: str, given_at: dt.timedelta, message: str
) -> None:
    """A consent is neither in the future nor before its policy was loaded."""
    with pytest.raises(Refusal, match=message):
        accept(office, person, *INVENTED_YES, "--given-at", (now() + given_at).isoformat())
    assert office.vault.fetch(_COUNT) == [(0,)]


def test_a_yes_does_not_reach_back(office: Office, person: str) -> None:
    """
    A consent is not valid before it was given, and an older consent does not override a later
    withdrawal.
    """
    early = (now() - dt.timedelta(hours=1)).isoformat()
    with pytest.raises(Refusal, match="--valid-from is before"):
        accept(office, person, *INVENTED_YES, "--valid-from", early)
    between = now().isoformat()
    accept(office, person, *INVENTED_YES)
    office.withdraw(person)
    with pytest.raises(Refusal, match="before the last decision"):
        accept(office, person, *INVENTED_YES, "--given-at", between)
    accept(office, person, *INVENTED_YES)


def test_unknown_age_is_not_of_age(office: Office, person: str) -> None:
    """A person of unknown age can consent once the age is known, or an officer confirms it."""
    subject = office.run("subject", "add", "--name", "Bo")["subject"]
    with pytest.raises(Refusal, match=r"not known.*rectify --born.*--of-age"):
        accept(office, subject, *INVENTED_YES)
    dpo, key = officer(office, "dpo", "dpo")
    _, other = officer(office, "other")
    with pytest.raises(Refusal, match="not that officer's"):
        accept(office, subject, *INVENTED_YES, "--of-age", dpo, "--of-age-key", other)
    with pytest.raises(Refusal, match="both"):
        accept(office, subject, *INVENTED_YES, "--of-age", dpo)

    accept(office, subject, *INVENTED_YES, "--of-age", dpo, "--of-age-key", key)

    assert str(newest(office).of_age.officer) == dpo
    assert office.run("audit")["problems"] == 0
    office.run("subject", "rectify", subject, "--born", "2020-01")
    with pytest.raises(Refusal, match="drop --of-age"):
        accept(office, subject, *INVENTED_YES, "--of-age", dpo, "--of-age-key", key)
    with pytest.raises(Refusal, match="below 15"):
        accept(office, subject, *INVENTED_YES)


@pytest.mark.parametrize("born", ["2199-01", "2099-12", "1850-01"])
def test_an_impossible_birth_is_refused_where_it_enters(office: Office, born: str) -> None:
    """
    A birth in the future or more than 130 years ago is refused when it is added or
    corrected.
    """
    with pytest.raises(Refusal, match="--born"):
        office.run("subject", "add", "--name", "Ada", "--born", born)
    subject = office.add_subject()
    with pytest.raises(Refusal, match="--born"):
        office.run("subject", "rectify", subject, "--born", born)
    assert office.run("subject", "show", subject)["born"] == "1980-01"


def test_an_age_counts_as_it_was_then(office: Office, person: str) -> None:
    """The age at the time of the consent counts, not the age when it is recorded."""
    office.vault.execute("UPDATE vault.purposes SET loaded_at = loaded_at - interval '90 days'")
    born = now() - dt.timedelta(days=15 * 365 + 4 + 40)
    subject = office.run("subject", "add", "--name", "Bo", "--born", f"{born:%Y-%m}")["subject"]
    then = (now() - dt.timedelta(days=80)).isoformat()
    with pytest.raises(Refusal, match="below 15"):
        accept(office, subject, *INVENTED_YES, "--given-at", then)
    accept(office, subject, *INVENTED_YES)


def test_what_was_said_aloud_has_a_witness_who_signs(office: Office, person: str) -> None:
    """An oral consent is recorded only with the signature of an officer who heard it."""
    aloud = (*INVENTED_YES, "--captured-by", "verbal-witnessed")
    with pytest.raises(Refusal, match="--witness"):
        accept(office, person, *aloud)
    nurse, key = officer(office, "nurse")
    accept(office, person, *aloud, "--witness", nurse, "--witness-key", key)
    assert str(newest(office).capture.witness.officer) == nurse
    office.run("officer", "end", nurse)
    with pytest.raises(Refusal, match="one no more"):
        accept(office, person, *aloud, "--witness", nurse, "--witness-key", key)
    assert office.run("audit")["problems"] == 0


def test_care_takes_information_and_asks_no_age(office: Office) -> None:
    """A purpose without consent as its basis needs an information leaflet, and no known age."""
    office.load_policy("care.yaml")
    office.load_policy()
    office.enrol()
    subject = office.run("subject", "add", "--name", "Bo")["subject"]
    informed = (*INVENTED_YES, "--captured-by", "handed-over")
    with pytest.raises(Refusal, match="rests on consent"):
        accept(office, subject, *informed)
    accept(office, subject, *informed, reference="diabetes-care@1")
    with pytest.raises(Refusal, match="--text"):
        accept(office, subject, "--given-by", "self", "--captured-by", "handed-over",
               "--locale", "fr-FR", "--given-at", "now", reference="diabetes-care@1")  # fmt: skip


def test_a_guardian_shows_what_they_are_and_what_they_said(office: Office, person: str) -> None:
    """A guardian's mandate names its proof, and a joint consent has evidence of both people."""
    child = office.run("subject", "add", "--name", "Bo", "--born", "2014-05")["subject"]
    add = ("representative", "add", "--subject", child, "--name", "Cy", "--role", "guardian")
    with pytest.raises(Refusal, match="--shown-by"):
        office.run(*add)
    guardian = office.run(*add, "--shown-by", "family-record-book")["representative"]
    rows = office.run("representative", "list", "--subject", child)["rows"]
    assert [row["shown_by"] for row in rows] == ["family-record-book"]
    theirs = tuple(
        word.replace("--", "--representative-", 1) for word in INVENTED_YES[2:]
    )  # fmt: skip
    with pytest.raises(Refusal, match="--given-by joint"):
        accept(office, person, *INVENTED_YES, *theirs)

    accept(office, child, *INVENTED_YES, "--given-by", "joint", "--representative", guardian,
           *theirs)  # fmt: skip

    assert newest(office).representative_capture.method == "checkbox"
    proxy = ("representative", "add", "--subject", person, "--name", "Di", "--role", "proxy",
             "--shown-by", "court-order")  # fmt: skip
    with pytest.raises(Refusal, match="--purposes"):
        office.run(*proxy)
    office.run(*proxy, "--purposes", PURPOSE)


@pytest.mark.parametrize("how", ["withdraw", "refused", "restrict", "erase", "child"])
def test_a_no_takes_no_evidence_and_claims_none(office: Office, person: str, how: str) -> None:
    """A refusal or withdrawal needs no evidence, and claims none that was not given."""
    if how == "child":
        subject = office.run("subject", "add", "--name", "Bo", "--born", "2014-05")["subject"]
        office.run("decision", "record", "--subject", subject, "--purpose", REFERENCE,
                   "--state", "refused", "--given-by", "self")  # fmt: skip
        assert newest(office).given_by == "self"
        return
    accept(office, person, *INVENTED_YES)
    record = ("decision", "record", "--subject", person, "--purpose", REFERENCE)
    command = {
        "withdraw": ("decision", "withdraw", "--subject", person, "--purpose", PURPOSE),
        "refused": (*record, "--state", "refused"),
        "restrict": ("restrict", person),
        "erase": ("erase", person, "--scope", PURPOSE, "--yes"),
    }[how]
    office.run(*command)
    decision = newest(office)
    assert (decision.given_by, decision.capture.method) == ("not-stated", "not-stated")
    assert decision.capture.text_sha256 is None


def test_what_is_restricted_and_lifted_is_as_it_was_said(office: Office, person: str) -> None:
    """
    After a restriction is lifted, the consent is in force as it was given, with its
    original time.
    """
    accept(office, person, *INVENTED_YES)
    before = newest(office)
    office.run("restrict", person)
    office.run("unrestrict", person)
    after = newest(office)
    assert (after.capture, after.given_by) == (before.capture, before.given_by)
    assert after.decided_at == before.decided_at
    assert office.run("audit")["problems"] == 0


def test_defaults_of_before_are_shown_as_unproven(office: Office) -> None:
    """
    An older consent without evidence verifies, and list, receipt and audit mark it as
    unproven.
    """
    subject, _ = measured(office)
    with office.app.vault.transaction() as records:
        (decision,) = records.decisions.chain(UUID(subject), PURPOSE)
    text = office.vault.fetch("SELECT convert_from(document, 'UTF8') FROM vault.decisions")[0][0]
    old = json.loads(str(text))
    old["capture"] = {"locale": None, "method": "signature", "text_sha256": None}
    document = json.dumps(old, separators=(",", ":"), sort_keys=True).encode()
    signature = office.app.keys.sign(b"vitalveil document v1\x00decision\x00" + document)
    office.vault.execute(
        "UPDATE vault.decisions SET document = %s, signature = %s", document, signature
    )

    found = office.run("audit")

    assert (found["problems"], found["unproven"]) == (0, 1)
    assert office.vault.fetch("SELECT document FROM vault.decisions") == [(document,)]
    rows = office.run("decision", "list", "--subject", subject)["rows"]
    assert (rows[0]["evidence"], rows[0]["captured_by"]) == ("unproven", "signature")
    receipt = office.folder / "receipt.json"
    office.run("receipt", subject, "--out", str(receipt))
    key = str(office.settings.keys.folder / "trust.pub")
    code, out, errors = run_cli("verify", str(receipt), "--key", key, "--json")
    assert code == 0, errors
    assert json.loads(out)["rows"][0]["evidence"] == "unproven"
    assert decision.capture.text_sha256 is not None


@pytest.mark.parametrize("text", ["/dev/zero", "missing.txt", "."])
def test_a_text_is_a_file(office: Office, person: str, text: str) -> None:
    """Only an existing regular file of limited size can be the shown text."""
    said = ("--given-by", "self", "--captured-by", "signature", "--text", text,
            "--locale", "en-GB", "--given-at", "now")  # fmt: skip
    with pytest.raises(Refusal, match="evidence"):
        accept(office, person, *said)
