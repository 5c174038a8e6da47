"""An operator's day with people: find, list, and register no one twice."""

import json
from pathlib import Path

import pytest

from tests.fixtures.vault import Office, Refusal

NIR = "255081416802538"


def _add(office: Office, name: str, *more: str) -> str:
    return str(office.run("subject", "add", "--name", name, *more)["subject"])


def _listed(office: Office, *more: str) -> set[str]:
    return {row["subject"] for row in office.run("subject", "list", *more)["rows"]}


def test_a_person_is_found_by_a_part_of_their_name(office: Office) -> None:
    """However it is written; and the look leaves a row in the log."""
    zoe = _add(office, "Zoé Martin-Dupont", "--born", "1980-01")
    _add(office, "Ada Lovelace")

    found = office.run("subject", "find", "ZOE martin dup")

    assert [(row["subject"], row["name"]) for row in found["rows"]] == [(zoe, "Zoé Martin-Dupont")]
    assert office.run("subject", "find", "zoe", "--born", "1980-02")["rows"] == []
    log = office.run("reidentify", "log")["rows"]
    assert [row["action"] for row in log] == ["subject find", "subject find"]
    assert "martin" not in json.dumps(log).lower()


def test_a_search_is_bounded_and_says_so(office: Office) -> None:
    """After --limit people the search stops."""
    for n in range(3):
        _add(office, f"Ada {n}")
    found = office.run("subject", "find", "ada", "--limit", "2")
    assert (len(found["rows"]), found["more"]) == (2, True)
    assert office.run("subject", "find", "ada", "--limit", "3")["more"] is False
    for limit in ("0", "1001"):
        with pytest.raises(Refusal, match="--limit"):
            office.run("subject", "find", "ada", "--limit", limit)
    with pytest.raises(Refusal, match="at least one"):
        office.run("subject", "find", "--", "-'")


def test_a_damaged_record_does_not_stop_a_search(office: Office) -> None:
    """A record that does not open is passed over, also when likenesses are calculated."""
    broken, sound = _add(office, "Ada One"), _add(office, "Ada Two")
    office.vault.execute(
        "UPDATE vault.subjects SET sealed = '\\x00', likeness = NULL WHERE subject = %s", broken
    )
    assert [row["subject"] for row in office.run("subject", "find", "ada")["rows"]] == [sound]
    _add(office, "Ada Three")


def test_a_list_shows_those_who_are_there(office: Office) -> None:
    """Erased people are listed only when asked for; filters are by state, purpose and gateway."""
    office.load_policy()
    agent, _ = office.enrol()
    ada, bo, cy = (_add(office, name, "--born", "1980-01") for name in ("Ada", "Bo", "Cy"))
    office.accept(ada, agent)
    office.run("erase", cy, "--scope", "all", "--yes")

    assert _listed(office) == {ada, bo}
    assert _listed(office, "--state", "all") == {ada, bo, cy}
    assert _listed(office, "--state", "erased") == {cy}
    assert _listed(office, "--state", "measured") == {ada}
    assert _listed(office, "--state", "not-measured") == {bo}
    assert _listed(office, "--agent", agent) == {ada}
    assert _listed(office, "--agent", "f" * 16) == set()
    assert _listed(office, "--name", "BO") == {bo}
    (row,) = office.run("subject", "list", "--agent", agent)["rows"]
    assert (row["agents"], _listed(office, "--purpose", row["purposes"][0])) == ([agent], {ada})
    assert _listed(office, "--added-since", "2100-01-01T00:00:00Z") == set()


def test_a_list_goes_on_where_a_page_ended(office: Office) -> None:
    """Pages of a list have everybody once."""
    people = {_add(office, f"P{n}") for n in range(5)}
    seen: list[str] = []
    more: list[str] = []
    while True:
        page = office.run("subject", "list", "--limit", "2", *more)
        seen += [row["subject"] for row in page["rows"]]
        if "next" not in page:
            break
        more = ["--after", page["next"]]
    assert (len(seen), set(seen)) == (5, people)


@pytest.mark.parametrize("again", ["ZOE martin", "Zoe\u0301-Martin", " zoé  MARTIN "])
def test_nobody_is_registered_twice_unnoticed(office: Office, again: str) -> None:
    """The same name and month of birth is refused with the id; --even-if-alike goes on."""
    first = _add(office, "Zoé Martin", "--born", "1980-01")
    with pytest.raises(Refusal, match=first) as refused:
        _add(office, again, "--born", "1980-01")
    assert "artin" not in str(refused.value)
    _add(office, again, "--born", "1980-02")
    _add(office, again)
    _add(office, again, "--born", "1980-01", "--even-if-alike")


def test_people_who_were_added_before_are_compared(office: Office) -> None:
    """A record of an earlier release has no digest yet, and is recognised all the same."""
    first = _add(office, "Zoé", "--born", "1980-01")
    office.vault.execute("UPDATE vault.subjects SET likeness = NULL, ins_likeness = NULL")
    with pytest.raises(Refusal, match=first):
        _add(office, "zoe", "--born", "1980-01")


def test_a_correction_and_an_erasure_are_followed(office: Office) -> None:
    """The old name is free again, the new one is taken; an erased person resembles no one."""
    first = _add(office, "Zoé", "--born", "1980-01")
    office.run("subject", "rectify", first, "--name", "Chloé")
    second = _add(office, "Zoé", "--born", "1980-01")
    with pytest.raises(Refusal, match=first):
        _add(office, "chloe", "--born", "1980-01")
    office.run("erase", second, "--scope", "all", "--yes")
    _add(office, "Zoé", "--born", "1980-01")
    left = office.vault.fetch(
        "SELECT likeness, ins_likeness FROM vault.subjects WHERE erased_at IS NOT NULL"
    )
    assert left == [(None, None)]


def test_a_matricule_is_of_one_person(office: Office) -> None:
    """It is sealed, shown, corrected, and refused for a second person with every option."""
    identity = ("--identity-status", "qualified", "--ins", NIR)
    first = _add(office, "Ada", *identity)
    shown = office.run("subject", "show", first)
    assert (shown["ins"], shown["ins_oid"]) == (NIR, "1.2.250.1.213.1.4.8")
    stored = str(office.vault.fetch("SELECT s::text FROM vault.subjects s"))
    assert NIR not in stored
    assert NIR.encode().hex() not in stored

    with pytest.raises(Refusal, match=first) as refused:
        _add(office, "Bo", *identity, "--even-if-alike")
    assert NIR not in str(refused.value)
    bo = _add(office, "Bo", "--identity-status", "provisional")
    with pytest.raises(Refusal, match=first):
        office.run("subject", "rectify", bo, *identity)
    done = office.run("subject", "rectify", first, "--identity-status", "provisional")
    assert done["rectified"] == ["identity"]
    assert office.run("subject", "rectify", bo, *identity)["rectified"] == ["identity"]
    assert office.run("subject", "show", first)["ins"] is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--ins", NIR], "--identity-status"),
        (["--identity-status", "qualified"], "--ins"),
        (["--identity-status", "validated", "--ins", NIR], "no matricule"),
        (["--identity-status", "retrieved", "--ins", NIR[:-1] + "9"], "key"),
        (["--identity-status", "retrieved", "--ins", NIR, "--ins-oid", "1.2.3"], "--ins-oid"),
    ],
)
def test_an_identity_is_checked(office: Office, arguments: list[str], problem: str) -> None:
    """Status, matricule and authority have to fit, and an error repeats no number."""
    with pytest.raises(Refusal, match=problem) as refused:
        _add(office, "Ada", *arguments)
    assert NIR[:8] not in str(refused.value)


def test_an_erasure_answers_a_request(office: Office, tmp_path: Path) -> None:
    """`erase --request` closes the request, and refuses another person's, kind or closed one."""
    ada, bo = _add(office, "Ada"), _add(office, "Bo")

    def request(subject: str, kind: str) -> str:
        added = office.run(
            "request", "add", "--subject", subject, "--kind", kind, "--received-at", "now"
        )
        return str(added["request"])

    mine, others, access = request(ada, "erasure"), request(bo, "erasure"), request(ada, "access")
    for wrong, problem in ((others, "another person"), (access, "not for erasure")):
        with pytest.raises(Refusal, match=problem):
            office.run("erase", ada, "--scope", "all", "--request", wrong, "--yes")
    assert _listed(office) == {ada, bo}
    office.run("erase", ada, "--scope", "all", "--request", mine, "--yes")
    closed = {
        row["request"]: row["outcome"] for row in office.run("request", "list", "--all")["rows"]
    }
    assert (closed[mine], closed[others]) == ("granted", None)
    with pytest.raises(Refusal, match="closed"):
        office.run("erase", ada, "--scope", "all", "--request", mine, "--yes")
