"""People's rights against real databases: receipts, minors, names given back, exports."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.fix_vault import Office, Refusal
from tests.integration.test_trust_cli import run as run_cli
from trust import rotation
from trust.errors import Unavailable
from trust.exports import cipher, package
from wire.quantities import BY_NAME

pytestmark = pytest.mark.database
PURPOSE = "home-monitoring"


def pseudonyms(office: Office) -> list[str]:
    """Return every pseudonym in the telemetry database."""
    rows = office.telemetry.fetch(
        "SELECT DISTINCT encode(pseudonym, 'hex') FROM vv.series ORDER BY 1"
    )
    return [str(row[0]) for row in rows]


def measured(office: Office, *, agent: str = "") -> tuple[str, str]:
    """Return a subject with a decision, and her agent."""
    office.load_policy()
    subject = office.add_subject()
    agent = agent or office.enrol()[0]
    office.accept(subject, agent, "--quantities", "heart_rate,glucose_interstitial")
    return subject, agent


# Receipts


def test_a_receipt_is_checked_without_a_database(office: Office, tmp_path: Path) -> None:
    """`receipt` writes what `verify` accepts with trust's public key alone; not once it is old."""
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
    """A withdrawal is one command, and needs nothing that a grant does not need."""
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
    """Each state but accepted takes back what was permitted, and the chain says so."""
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
    """Neither a quantity nor a recipient that the policy does not name can be granted."""
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    for more in (["--quantities", "rr_interval"], ["--recipients", "insurer"]):
        with pytest.raises(Refusal, match="does not"):
            office.accept(subject, agent, *more)
    reply = office.accept(subject, agent, "--recipients", "")
    assert reply["handle"]


def test_a_minor_consents_with_a_guardian(office: Office) -> None:
    """Below 15 neither alone nor without being asked; and what was given jointly ends at 18."""
    office.load_policy()
    agent, _ = office.enrol()
    subject = office.run("subject", "add", "--name", "Ada", "--born", "2014-05")["subject"]
    with pytest.raises(Refusal, match="below 15"):
        office.accept(subject, agent)
    guardian = office.run(
        "representative", "add", "--subject", subject, "--name", "Byron", "--role", "guardian"
    )["representative"]
    with pytest.raises(Refusal, match="asked too"):
        office.accept(subject, agent, "--given-by", "guardian", "--representative", guardian)
    office.accept(subject, agent, "--given-by", "joint", "--representative", guardian)

    rows = office.run("decision", "list", "--subject", subject)["rows"]
    assert [(row["given_by"], row["valid_to"][:10]) for row in rows] == [("joint", "2032-06-01")]
    assert office.telemetry.fetch("SELECT DISTINCT valid_to::date::text FROM vv.permissions") == [
        ("2032-06-01",)
    ]
    office.run("representative", "end", guardian)
    with pytest.raises(Refusal, match="not in force"):
        office.accept(subject, agent, "--given-by", "joint", "--representative", guardian)
    # Saying no needs no mandate.
    office.run("decision", "withdraw", "--subject", subject, "--purpose", PURPOSE)


def test_another_persons_representative_has_no_say(office: Office) -> None:
    """A mandate is for one person."""
    office.load_policy()
    agent, _ = office.enrol()
    ada, bob = office.add_subject(), office.add_subject("Bob")
    proxy = office.run(
        "representative", "add", "--subject", bob, "--name", "Carol", "--role", "proxy"
    )["representative"]
    with pytest.raises(Refusal, match="no such representative"):
        office.accept(ada, agent, "--given-by", "proxy", "--representative", proxy)


def test_a_period_is_a_date(office: Office) -> None:
    """`--valid-for` counts from when the decision begins; with `--valid-to` it is refused."""
    office.load_policy()
    subject, (agent, _) = office.add_subject(), office.enrol()
    begins = "2099-01-01T00:00:00+00:00"
    office.accept(subject, agent, "--valid-from", begins, "--valid-for", "30d")
    rows = office.run("decision", "list", "--subject", subject)["rows"]
    assert rows[0]["valid_to"].startswith("2099-01-31T00:00")
    with pytest.raises(Refusal, match="not both"):
        office.accept(subject, agent, "--valid-for", "30d", "--valid-to", begins)


# Identities and requests


def test_an_identity_is_corrected_and_not_kept_twice(office: Office) -> None:
    """After a rectification the new name is sealed in the old one's place; what it was is gone."""
    subject = office.add_subject("Ada Wrong")
    request = office.run("request", "add", "--subject", subject, "--kind", "rectification")
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
    """The register shows what is late; it is extended once, with its reason, and closed once."""
    subject = office.add_subject()
    reply = office.run(
        "request", "add", "--subject", subject, "--kind", "access",
        "--received-at", "2026-01-31T10:00:00+00:00",
    )  # fmt: skip
    assert reply["due_at"] == "2026-02-28T10:00:00+00:00"
    assert office.run("request", "list")["rows"][0]["urgency"] == "overdue"
    extended = office.run("request", "extend", reply["request"], "--because", "three systems")
    assert extended["due_at"] == "2026-04-30T10:00:00+00:00"
    with pytest.raises(Refusal):
        office.run("request", "extend", reply["request"], "--because", "again")
    office.run("request", "close", reply["request"], "--outcome", "granted")
    with pytest.raises(Refusal):
        office.run("request", "close", reply["request"], "--outcome", "refused")


# Re-identification


class Staff:
    """Five people with keys of their own."""

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
        """Do *action* as somebody."""
        return self.office.run(
            "reidentify", action, *argv, "--officer", self.ids[who],
            "--key", str(self.folder / f"{key or who}.key"),
        )  # fmt: skip

    def ask(self, names: list[str]) -> str:
        """Ask for names, as the nurse."""
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
    """With two approvals a name is seen, once, by who asked; and every attempt is on record."""
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
    """Whoever may write into the vault cannot add a pseudonym to a request that was approved."""
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
    """Who asks too often is refused, and that is on record too."""
    measured(office)
    staff = Staff(office, tmp_path)
    for _ in range(10):
        staff.ask(["00" * 16])
    with pytest.raises(Refusal, match="too many"):
        staff.ask(["00" * 16])
    assert staff.log()[-1] == ("request", "too_many")


# Rotation


def test_rotation_moves_series_and_keeps_handles(office: Office) -> None:
    """After a rotation the same handle writes into a new series, and a new grant does too."""
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
    """Killed between two groups, the job goes on in the same epoch, and moves each handle once."""
    for _ in range(5):
        measured(office, agent=office.enrol()[0])
    monkeypatch.setattr(rotation, "_GROUP", 2)
    moved = []

    def cut_off(agents: list[str]) -> None:
        moved.append(len(agents))
        if len(moved) == 2:
            raise Unavailable("test")
        type(office.app.upkeep).bring(office.app.upkeep, agents)

    monkeypatch.setattr(office.app.upkeep, "bring", cut_off)
    with pytest.raises(Unavailable):
        office.app.rotation.rotate(PURPOSE)
    monkeypatch.undo()

    reply = office.run("pseudonym", "rotate", "--purpose", PURPOSE)
    assert (reply["epoch"], reply["handles"], reply["resumed"]) == (2, 1, True)
    # What was recorded and not brought is the daemon's: it finds it by itself.
    office.app.upkeep.bring(
        [str(row[0]) for row in office.vault.fetch("SELECT agent FROM vault.agents")]
    )
    assert office.vault.fetch("SELECT DISTINCT key_epoch FROM vault.handles") == [(2,)]
    assert len(pseudonyms(office)) == 10
    assert office.run("pseudonym", "epochs")["rows"][0]["state"] == "moved"


def test_an_old_epoch_is_destroyed_alone(office: Office, tmp_path: Path) -> None:
    """Once nothing is in an epoch its key can go; then its pseudonyms have no name any more."""
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


# Exports


def store(office: Office, *, quantity: str, values: list[float]) -> None:
    """Store observations for everybody who may be measured."""
    if office.telemetry.variant == "native":
        office.telemetry.execute("SELECT vv.ensure_partitions('2026-06-01', '2026-06-02')")
    for number, value in enumerate(values):
        office.telemetry.execute(
            "INSERT INTO vv.observations SELECT timestamptz '2026-06-01T12:00Z' + %s *"
            " interval '1 s', series_id, %s, 0 FROM vv.series WHERE quantity = %s",
            number, value, BY_NAME[quantity].code,
        )  # fmt: skip


def exported(office: Office, subject: str, folder: Path, *more: str) -> dict[str, bytes]:
    """Return the files of an export, opened with its passphrase."""
    secret = folder / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("correct horse battery staple\n")
    out = folder / "ada.vvexport"
    office.run(
        "export", "make", subject, "--out", str(out), "--passphrase-file", str(secret), *more
    )
    argv = ["export", "open", str(out), "--out", str(folder / "ada.zip")]
    code, _, errors = run_cli(*argv, "--passphrase-file", str(secret))
    assert (code, errors) == (0, "")
    assert b"Ada" not in out.read_bytes()
    assert not out.stat().st_mode & 0o077
    with zipfile.ZipFile(folder / "ada.zip") as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_export_is_whole_and_hers_alone(office: Office, tmp_path: Path) -> None:
    """FHIR, Open mHealth and CSV each hold all that is stored of her, and of nobody else."""
    subject, _ = measured(office)
    store(office, quantity="heart_rate", values=[72, 73, 74])
    store(office, quantity="glucose_interstitial", values=[5.1])
    office.run("pseudonym", "rotate", "--purpose", PURPOSE)
    measured(office, agent=office.enrol()[0])
    others = office.telemetry.fetch("SELECT count(*) FROM vv.observations")

    parts = exported(office, subject, tmp_path)

    assert others == [(4,)]
    rows = list(csv.DictReader(io.StringIO(parts["observations.csv"].decode())))
    assert sorted((row["quantity"], row["value"], row["unit"]) for row in rows) == [
        ("glucose_interstitial", "5.1", "mmol/L"),
        ("heart_rate", "72", "/min"),
        ("heart_rate", "73", "/min"),
        ("heart_rate", "74", "/min"),
    ]
    bundle: Any = Bundle.model_validate_json(parts["fhir-bundle.json"])
    kinds = [entry.resource.get_resource_type() for entry in bundle.entry]
    assert kinds == ["Patient", "Consent", *["Observation"] * 4]
    assert {e.resource.valueQuantity.code for e in bundle.entry[2:]} == {"/min", "mmol/L"}
    points = [json.loads(line) for line in parts["open-mhealth.ndjson"].splitlines()]
    assert sorted(point["header"]["schema_id"]["name"] for point in points) == [
        "blood-glucose", "heart-rate", "heart-rate", "heart-rate",
    ]  # fmt: skip
    everything = b"".join(parts.values())
    assert json.loads(parts["identity.json"])["name"] == "Ada Canary"
    for secret in [*pseudonyms(office), "C0:FF:EE"]:
        assert secret.encode() not in everything


def test_an_export_closes_its_request_and_is_deleted_in_time(
    office: Office, tmp_path: Path
) -> None:
    """An export for a request closes it; once its time is over the file is deleted."""
    subject, _ = measured(office)
    other = office.add_subject("Bob")
    request = office.run("request", "add", "--subject", subject, "--kind", "access")["request"]
    foreign = office.run("request", "add", "--subject", other, "--kind", "access")["request"]
    with pytest.raises(Refusal, match="another person"):
        exported(office, subject, tmp_path, "--request", foreign)
    exported(office, subject, tmp_path, "--request", request)
    assert [row["request"] for row in office.run("request", "list")["rows"]] == [foreign]
    assert office.run("export", "purge", "--yes")["deleted"] == 0
    office.vault.execute("UPDATE vault.exports SET expires_at = now() - interval '1 s'")
    assert office.run("export", "purge", "--yes")["deleted"] == 1
    assert not (tmp_path / "ada.vvexport").exists()


def test_an_export_does_not_open_by_guessing_or_damaged(office: Office, tmp_path: Path) -> None:
    """Another passphrase, a cut, a flipped bit: nothing is written."""
    subject, _ = measured(office)
    exported(office, subject, tmp_path)
    sealed = (tmp_path / "ada.vvexport").read_bytes()
    (tmp_path / "ada.zip").unlink()
    broken = tmp_path / "broken"
    for data in (sealed[:-1], sealed[: len(sealed) // 2], sealed + b"x", b"",
                 sealed[:-40] + bytes([sealed[-40] ^ 1]) + sealed[-39:]):  # fmt: skip
        broken.write_bytes(data)
        with pytest.raises(cipher.Unopened):
            package.unpack(broken, tmp_path / "ada.zip", "correct horse battery staple")
    with pytest.raises(cipher.Unopened):
        package.unpack(tmp_path / "ada.vvexport", tmp_path / "ada.zip", "correct horse battery")
    assert [path.name for path in tmp_path.iterdir() if "zip" in path.name] == []
