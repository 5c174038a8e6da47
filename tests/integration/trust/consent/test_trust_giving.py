"""Consents and refusals: who may give them, when, and until when. Each rule has its own case."""

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from simulators.stack.trust_shell import INVENTED_YES
from tests.fixtures.vault import Office, Refusal
from tests.integration.trust.consent.test_trust_evidence import (
    PURPOSE,
    REFERENCE,
    accept,
    newest,
    officer,
)
from tests.integration.trust.consent.test_trust_policies import CARE, NARROW, WIDE, write
from trust.composition import App, now
from trust.consent.giving import Grant
from trust.decisions.decisions import GivenBy
from trust.decisions.evidence import NotSaid, Said
from trust.domain import policy_file

pytestmark = pytest.mark.database

_THEIRS = tuple(word.replace("--", "--representative-", 1) for word in INVENTED_YES[2:])


@pytest.fixture
def person(office: Office) -> str:
    """An adult and a gateway; the policy was loaded long ago."""
    office.load_policy()
    office.vault.execute("UPDATE vault.purposes SET loaded_at = loaded_at - interval '9 years'")
    office.enrol()
    return office.add_subject()


def ago(days: float) -> str:
    """Return the time this many days ago, in ISO format."""
    return (now() - dt.timedelta(days=days)).isoformat()


def child(office: Office) -> str:
    """Add a person who is about twelve years old."""
    born = now() - dt.timedelta(days=12 * 365)
    return str(office.run("subject", "add", "--name", "Bo", "--born", f"{born:%Y-%m}")["subject"])


def representative(office: Office, subject: str, role: str, *more: str) -> str:
    """Add a representative of *subject*."""
    scope = ("--purposes", PURPOSE) if role == "proxy" else ()
    added = office.run(
        "representative", "add", "--subject", subject, "--name", "Cy", "--role", role,
        "--shown-by", "court-order", *scope, *more,
    )  # fmt: skip
    return str(added["representative"])


def refuse(office: Office, subject: str, *more: str) -> None:
    """Record a refusal."""
    office.run(
        "decision", "record", "--subject", subject, "--purpose", REFERENCE, "--state", "refused",
        *more,
    )  # fmt: skip


def test_a_guardian_who_speaks_has_a_witness(office: Office, person: str) -> None:
    """An oral statement of either person of a joint consent needs an officer who heard it."""
    bo = child(office)
    by = ("--given-by", "joint", "--representative", representative(office, bo, "guardian"))
    aloud = (*INVENTED_YES, *by, *_THEIRS, "--representative-captured-by", "verbal-witnessed")
    with pytest.raises(Refusal, match="--witness"):
        accept(office, bo, *aloud)
    nurse, key = officer(office, "nurse")
    accept(office, bo, *aloud, "--witness", nurse, "--witness-key", key)
    assert str(newest(office).capture.witness.officer) == nurse


def test_a_joint_yes_is_two(office: Office, person: str) -> None:
    """In a joint consent the evidence of the guardian is required, or nothing is recorded."""
    bo = child(office)
    by = ("--given-by", "joint", "--representative", representative(office, bo, "guardian"))
    with pytest.raises(Refusal, match="--representative-captured-by"):
        accept(office, bo, *INVENTED_YES, *by)


def test_who_gives_it_is_said(office: Office, person: str) -> None:
    """The person who consents must be named; `NotSaid` is not accepted."""
    agent = str(office.vault.fetch("SELECT agent FROM vault.agents")[0][0])
    grant = Grant(
        subject=UUID(person), purpose=PURPOSE, version=1, quantities=[], agent=agent,
        bindings=["C0:FF:EE:00:00:01"], given_by=GivenBy.NOT_STATED, said=Said(),
    )  # fmt: skip
    with pytest.raises(NotSaid, match="--given-by"):
        office.app.consent.accept(grant)


def test_a_stranger_represents_nobody(office: Office, person: str) -> None:
    """Only a representative of that person is accepted, and none if the person decides alone."""
    bo = child(office)
    other = representative(office, person, "proxy")
    for one in (other, str(uuid.uuid4())):
        with pytest.raises(Refusal, match="no such representative"):
            accept(office, bo, *INVENTED_YES, *_THEIRS, "--given-by", "joint",
                   "--representative", one)  # fmt: skip
    with pytest.raises(Refusal, match="--representative decides with"):
        refuse(office, person, "--given-by", "self", "--representative", other)


def test_a_no_counts_the_age_of_its_day(office: Office, person: str) -> None:
    """A guardian could refuse while the child was under age, and cannot afterwards."""
    born = now() - dt.timedelta(days=18 * 365 + 4 + 40)
    bo = office.run("subject", "add", "--name", "Bo", "--born", f"{born:%Y-%m}")["subject"]
    one = representative(office, bo, "guardian", "--valid-from", ago(900))
    by = ("--given-by", "guardian", "--representative", one)
    with pytest.raises(Refusal, match="of age"):
        refuse(office, bo, *by)
    with pytest.raises(Refusal, match="child is asked too"):
        refuse(office, bo, *by, "--given-at", ago(100))
    refuse(office, bo, "--given-by", "joint", "--representative", one, "--given-at", ago(100))


def test_a_no_was_said_when_it_could_be(office: Office, person: str) -> None:
    """A refusal is neither in the future nor before the last decision of that person."""
    before = now().isoformat()
    with pytest.raises(Refusal, match="future"):
        refuse(office, person, "--given-at", ago(-1))
    accept(office, person, *INVENTED_YES)
    with pytest.raises(Refusal, match="before the last decision"):
        refuse(office, person, "--given-at", before)
    refuse(office, person)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        pytest.param(10, 5, id="before it begins"),
        pytest.param(None, -1, id="past"),
        pytest.param(10, 10, id="at once"),
    ],
)
def test_a_yes_ends_after_it_begins(
    office: Office, person: str, begins: int | None, ends: int
) -> None:
    """A consent that ends before or when it begins is refused."""
    at = now()
    end = ("--valid-to", (at + dt.timedelta(days=ends)).isoformat())
    begin = (
        () if begins is None else ("--valid-from", (at + dt.timedelta(days=begins)).isoformat())
    )
    with pytest.raises(Refusal, match="--valid-to is not after"):
        accept(office, person, *INVENTED_YES, *begin, *end)


def test_a_yes_lasts_no_longer_than_its_mandate(office: Office, person: str) -> None:
    """A consent by a proxy ends with the proxy's mandate, and cannot begin after its end."""
    end = (now() + dt.timedelta(days=10)).replace(microsecond=0)
    one = representative(office, person, "proxy", "--valid-to", end.isoformat())
    by = (*INVENTED_YES, "--given-by", "proxy", "--representative", one)
    with pytest.raises(Refusal, match="after the mandate"):
        accept(office, person, *by, "--valid-from", ago(-20))
    accept(office, person, *by, "--valid-to", ago(-30))
    assert newest(office).valid_to == end


def test_a_version_waits_for_another_and_is_compared_again(office: Office, person: str) -> None:
    """A version that waited for another one to load is compared with that one as well."""
    office.load(write(office, CARE))
    other = App(office.settings)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    with ThreadPoolExecutor(1) as thread:
        with other.vault.transaction() as records:
            records.purposes.lock("care")
            path = str(write(office, NARROW))
            loading = thread.submit(office.run, "policy", "load", path)
            while office.vault.fetch(waits) == [(0,)]:
                assert not loading.done(), "it waits for nobody"
            records.purposes.add(policy_file.parse(NARROW.replace("@2", "@5")))
        with pytest.raises(Refusal, match="count up"):
            loading.result(60)
    other.close()


def test_a_version_is_remembered_before_the_day_is_over(office: Office, person: str) -> None:
    """
    The daemon records all versions each minute, so that a version that is deleted on the same day
    is missed.
    """
    office.load(write(office, CARE))
    office.load(write(office, WIDE))
    office.app.audit.note()
    office.vault.execute(
        "DELETE FROM vault.policy_admissions WHERE purpose = 'care' AND version = 2"
    )
    office.vault.execute("DELETE FROM vault.purposes WHERE purpose = 'care' AND version = 2")
    assert office.run("audit")["policies_gone"] == 1
