"""A person with damaged records is erased, and no other person is affected."""

from pathlib import Path

import pytest

from formats import cipher
from tests.fixtures.vault import Office, Refusal
from trust.decisions import decisions
from trust.domain import canonical
from trust.domain.erasure_steps import Frozen
from trust.errors import Unavailable

pytestmark = pytest.mark.database

_AS_A_RESTORE = "SET session_replication_role = 'replica'; "


class Two:
    """Two people at one gateway; the records of the first are going to be damaged."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.load_policy()
        self.agent, _ = office.enrol()
        self.subject, self.other = office.add_subject(), office.add_subject("Bo Other")
        office.accept(self.subject, self.agent)
        office.accept(self.other, self.agent, binding="C0:FF:EE:00:00:02")

    def damage(self, statement: str) -> None:
        """Run *statement* on the vault as a superuser."""
        self.office.vault.execute(_AS_A_RESTORE + statement.format(subject=self.subject))

    def erase(self, scope: str = "all") -> dict[str, object]:
        """Erase the first person."""
        return self.office.run("erase", self.subject, "--scope", scope, "--yes")

    def check_erased(self) -> None:
        """
        Check that no data of the first person remain, and that the other is measured as
        before.
        """
        permitted = "SELECT count(*) FROM vv.permissions WHERE withdrawn_at IS NULL"
        assert self.office.vault.fetch("SELECT DISTINCT subject::text FROM vault.handles") == [
            (self.other,)
        ]
        assert self.office.telemetry.fetch("SELECT count(*) FROM vv.series") == [(4,)]
        assert self.office.telemetry.fetch("SELECT count(*) FROM vv.permissions") == [(4,)]
        assert self.office.telemetry.fetch(permitted) == [(4,)]


@pytest.fixture
def two(office: Office) -> Two:
    """Two people at one gateway."""
    return Two(office)


def _told(certificate: dict[str, object]) -> list[object]:
    remains = certificate["remains"]
    assert isinstance(remains, list)
    return [one["what"] for one in remains if "do not verify" in one["what"]]


UNREADABLE = {
    "a signature is another's": "UPDATE vault.decisions SET signature = ''"
    " WHERE subject = '{subject}'",
    "bytes are no document": "UPDATE vault.decisions SET document = '\\x00ff'"
    " WHERE subject = '{subject}'",
    "a decision is there twice": "INSERT INTO vault.decisions (decision, subject, purpose,"
    " version, supersedes, document, key_id, signature) SELECT gen_random_uuid(), subject,"
    " purpose, version, decision, document, key_id, signature FROM vault.decisions"
    " WHERE subject = '{subject}'",
    "a decision is another person's": "UPDATE vault.decisions d SET document = o.document,"
    " signature = o.signature FROM vault.decisions o"
    " WHERE d.subject = '{subject}' AND o.subject <> '{subject}'",
    "a decision is for a purpose that there is not": "UPDATE vault.decisions"
    " SET purpose = 'no-such-purpose' WHERE subject = '{subject}'",
}
"""Statements after which decisions do not verify."""

MISSING = {
    "the handles are gone": "DELETE FROM vault.handles WHERE subject = '{subject}'",
    "the decisions are gone": "DELETE FROM vault.decisions WHERE subject = '{subject}'",
    "decisions and handles are gone": "DELETE FROM vault.decisions WHERE subject = '{subject}';"
    " DELETE FROM vault.handles WHERE subject = '{subject}'",
    "the handles' decision is gone": "UPDATE vault.handles SET decision = gen_random_uuid()"
    " WHERE subject = '{subject}'",
    "the bindings do not open": "UPDATE vault.handles SET sealed_bindings = ''"
    " WHERE subject = '{subject}'",
    "the data key does not open": "UPDATE vault.subjects SET wrapped_key = '\\x00'"
    " WHERE subject = '{subject}'",
    "the identity does not open": "UPDATE vault.subjects SET sealed = '\\x00'"
    " WHERE subject = '{subject}'",
}
"""Statements that damage other records of a person."""


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=list(UNREADABLE))
def test_decisions_that_do_not_verify_stop_no_erasure(two: Two, damage: str) -> None:
    """
    All data of the person are deleted, and the certificate says that no end could be
    recorded.
    """
    two.damage(damage)

    certificate = two.erase()

    two.check_erased()
    assert _told(certificate) == [
        "signed decisions that do not verify: after them no withdrawal could be recorded"
    ]


@pytest.mark.parametrize("damage", MISSING.values(), ids=list(MISSING))
def test_no_record_of_a_person_that_is_missing_or_damaged_stops_an_erasure(
    two: Two, damage: str
) -> None:
    """The remaining records in either database are sufficient to find all data of the person."""
    two.damage(damage)

    two.erase()

    two.check_erased()


def test_a_document_that_was_signed_and_is_no_decision_stops_no_erasure(two: Two) -> None:
    """
    A validly signed record of an unknown form, as of a later release, does not prevent
    an erasure.
    """
    document = b'{"later":1}'
    signature = two.office.app.keys.sign(canonical.to_sign(decisions.KIND, document))
    two.office.vault.execute(
        "UPDATE vault.decisions SET document = %s, signature = %s WHERE subject = %s",
        document,
        signature,
        two.subject,
    )

    assert _told(two.erase()) != []

    two.check_erased()


def test_one_purpose_is_erased_though_its_decisions_do_not_verify(two: Two) -> None:
    """
    An erasure of one purpose works with unverifiable decisions, and keeps the personal
    details.
    """
    two.damage(UNREADABLE["a signature is another's"])

    assert _told(two.erase("home-monitoring@1")) != []

    two.check_erased()
    assert two.office.run("subject", "show", two.subject)["name"] == "Ada Canary"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(MISSING["decisions and handles are gone"], id="decisions and handles gone"),
        pytest.param(MISSING["the decisions are gone"], id="decisions gone"),
        pytest.param(UNREADABLE["a signature is another's"], id="decisions that do not verify"),
    ],
)
def test_what_was_measured_last_is_shut_out_before_anything_is_counted(
    two: Two, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    While the erasure runs, no further data of the person are stored, whatever the vault
    lacks.
    """
    two.damage(damage)

    def cut_off(*_: object, **__: object) -> None:
        raise Unavailable("cut off")

    monkeypatch.setattr("trust.telemetry.erasure.Stores.relations", cut_off)
    with pytest.raises(Exception, match="cut off"):
        two.erase()

    assert two.office.telemetry.fetch(
        "SELECT withdrawn_at IS NULL, count(*) FROM vv.permissions GROUP BY 1 ORDER BY 1"
    ) == [(False, 4), (True, 4)]


def test_a_gateway_where_nothing_can_be_ended_stops_no_erasure(two: Two) -> None:
    """
    If permissions at a gateway cannot be ended, they are deleted with the names, and the
    certificate says so.
    """
    two.office.telemetry.execute(
        "ALTER TABLE vv.permissions ADD CHECK (withdrawn_at IS NULL) NOT VALID"
    )

    number = two.erase()["number"]

    two.check_erased()
    with two.office.app.vault.transaction() as records:
        frozen = records.erasures.steps(int(str(number))).get(Frozen)
    assert frozen is not None
    assert not frozen.in_force


@pytest.mark.parametrize("step", ["freeze", "mark", "keys", "rows"])
def test_a_step_that_does_not_verify_stops_no_erasure(
    two: Two, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure with a changed step is started again under another number."""

    def cut_off(*_: object, **__: object) -> None:
        raise Unavailable("cut off")

    with monkeypatch.context() as patch:
        patch.setattr("trust.telemetry.erasure.Stores.erase_names", cut_off)
        with pytest.raises(Exception, match="cut off"):
            two.erase()
    two.office.vault.execute("UPDATE vault.erasure_steps SET signature = '' WHERE step = %s", step)

    assert two.erase()["number"] == 2


@pytest.mark.parametrize("step", ["freeze", "mark", "keys"])
def test_a_step_whose_facts_are_in_no_form_stops_no_erasure(
    two: Two, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure with a signed step of unknown form is started again as well."""

    def cut_off(*_: object, **__: object) -> None:
        raise Unavailable("cut off")

    with monkeypatch.context() as patch:
        patch.setattr("trust.telemetry.erasure.Stores.erase_names", cut_off)
        with pytest.raises(Exception, match="cut off"):
            two.erase()
    document = b'{"facts":{"agents":[]},"number":1,"step":"%s"}' % step.encode()
    signature = two.office.app.keys.sign(canonical.to_sign("erasure step", document))
    two.office.vault.execute(
        "UPDATE vault.erasure_steps SET detail = %s, signature = %s WHERE step = %s",
        document, signature, step,
    )  # fmt: skip

    assert two.erase()["number"] == 2
    two.check_erased()

    two.check_erased()


def test_a_certificate_is_given_again_though_another_step_does_not_verify(two: Two) -> None:
    """A certificate can be printed again even if another step does not verify."""
    two.erase()
    two.office.vault.execute(
        "UPDATE vault.erasure_steps SET signature = '' WHERE step <> 'certify'"
    )

    assert two.office.run("erase", "certificate", "1")["number"] == 1


def test_an_export_whose_record_names_another_file_is_told(two: Two, tmp_path: Path) -> None:
    """If an export's record names another file, the file is kept, and the certificate says so."""
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    out = tmp_path / "export"
    two.office.vault.execute(
        "INSERT INTO vault.exports (export, subject, file, sha256, observations, expires_at)"
        " SELECT gen_random_uuid(), %s, unnest(%s::text[]), '', 0, now() + interval '1 day'",
        two.subject,
        [str(other), str(tmp_path), str(out)],
    )
    out.write_bytes(cipher.MAGIC + b"sealed")

    certificate = two.erase()

    two.check_erased()
    assert other.read_bytes() == b"something else"
    assert not out.exists()
    assert certificate["exports"] == 1
    assert "2 records of exports" in str(certificate["remains"])


def test_an_export_that_cannot_be_deleted_holds_up_the_certificate_alone(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    If an export cannot be deleted, everything else is erased, and the certificate waits for the
    file.
    """
    out = tmp_path / "export"
    out.write_bytes(cipher.MAGIC + b"sealed")
    two.office.vault.execute(
        "INSERT INTO vault.exports (export, subject, file, sha256, observations, expires_at)"
        " VALUES (gen_random_uuid(), %s, %s, '', 0, now() + interval '1 day')",
        two.subject,
        str(out),
    )

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(Refusal, match="files of exports"):
            two.erase()
    two.check_erased()

    assert two.erase()["exports"] == 1
    assert not out.exists()
