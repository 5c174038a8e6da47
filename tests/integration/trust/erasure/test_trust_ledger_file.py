"""An erasure is in the ledger's file before anything is destroyed."""

import json

import pytest

from tests.fixtures.vault import Office, Refusal, measured
from trust.domain.erasure_steps import KeysDestroyed, StepFacts
from trust.vault.postgres.erasures import PostgresErasures

pytestmark = pytest.mark.database


def _erase(office: Office, subject: str) -> None:
    office.run("erase", subject, "--scope", "all", "--yes")


def _is_erased(office: Office, subject: str) -> bool:
    rows = office.vault.fetch(
        "SELECT erased_at IS NOT NULL FROM vault.subjects WHERE subject = %s", subject
    )
    return rows == [(True,)]


def test_an_erasure_that_could_not_be_copied_is_copied_when_it_goes_on(office: Office) -> None:
    """
    If a crash comes between the mark in the vault and the line in the file, the next run writes
    the line.
    """
    subject, _ = measured(office)
    file = office.folder / "erasures.jsonl"
    file.mkdir()

    with pytest.raises(Refusal, match=r"erasures\.jsonl"):
        _erase(office, subject)
    assert not _is_erased(office, subject)
    file.rmdir()
    _erase(office, subject)

    lines = [json.loads(line) for line in file.read_text().splitlines() if line]
    assert [line["erasure"]["subject"] for line in lines] == [subject]
    assert _is_erased(office, subject)


def test_a_step_of_another_erasure_is_not_taken_for_this_ones(office: Office) -> None:
    """A mark that was signed for one erasure is not accepted for another."""
    first, _ = measured(office)
    second = office.add_subject("Bo")
    for subject in (first, second):
        _erase(office, subject)
    office.vault.execute(
        "UPDATE vault.erasure_steps s SET detail = o.detail, signature = o.signature"
        " FROM vault.erasure_steps o WHERE s.number = 1 AND o.number = 2 AND s.step = o.step"
    )

    with pytest.raises(Refusal, match="a step of an erasure"):
        office.run("erase", "verify", "1")


def test_who_agreed_anew_meanwhile_is_erased_too(office: Office) -> None:
    """Data of a new consent between mark and end of an interrupted erasure are erased as well."""
    subject, agent = measured(office)
    file = office.folder / "erasures.jsonl"
    file.mkdir()
    scope = ("erase", subject, "--scope", "home-monitoring", "--yes")
    with pytest.raises(Refusal, match=r"erasures\.jsonl"):
        office.run(*scope)
    # For quantities that did not exist at the time of the mark.
    office.accept(subject, agent)
    version = office.vault.fetch("SELECT lease_version FROM vault.agents")
    file.rmdir()

    assert office.run(*scope)["number"] == 1

    assert office.telemetry.fetch("SELECT count(*) FROM vv.series") == [(0,)]
    assert office.telemetry.fetch("SELECT count(*) FROM vv.permissions") == [(0,)]
    assert office.vault.fetch("SELECT count(*) FROM vault.handles") == [(0,)]
    assert office.vault.fetch("SELECT lease_version FROM vault.agents") > version
    assert office.run("erase", "verify", "1")["residue"] == 0


def test_a_certificate_counts_what_was_taken_before_a_cut(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    If a crash comes while a step is recorded, the certificate still counts the handles that it
    deleted.
    """
    subject, _ = measured(office)
    record = PostgresErasures.record

    class Cut(BaseException):
        pass

    def cut(ledger: PostgresErasures, number: int, facts: StepFacts) -> None:
        if isinstance(facts, KeysDestroyed):
            raise Cut
        record(ledger, number, facts)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresErasures, "record", cut)
        with pytest.raises(Cut):
            _erase(office, subject)

    certificate = office.run("erase", subject, "--scope", "all", "--yes")

    assert certificate["handles"] == 1
    assert len(certificate["keys_destroyed"]) == 1
