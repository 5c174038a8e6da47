"""The steps of an erasure: every form that a release has signed is read, and no other."""

import json
from pathlib import Path

import msgspec
import pytest

from trust.domain import canonical, erasure_steps
from trust.domain.erasure_steps import (
    STEPS,
    Certificate,
    Entered,
    ErasedAgain,
    FilesRewritten,
    FoundNothing,
    Frozen,
    KeysDestroyed,
    LeasesPublished,
    Marked,
    NamesErased,
    RepeatedFacts,
    Rewritten,
    RewrittenAgain,
    RowsErased,
    StepFacts,
    Steps,
)
from trust.errors import Tampered

HERE = Path(__file__).parent
FIRST, SECOND = (
    {json.loads(line)["step"]: line for line in path.read_bytes().splitlines()}
    for path in (HERE / "erasure_steps_1.jsonl", HERE / "erasure_steps_2.jsonl")
)
"""
Recorded from the ledgers of two earlier forms: one that swept tables, and one that proved that
files were rewritten, before erasures could continue with damaged records.
"""
LOOKED = Rewritten(
    relations=["vv.series"],
    horizon="815",
    looked_at="2026-03-01T13:00:00.000+00:00",
    waited_ms=0,
    sessions_ended=0,
    prepared_transactions=0,
    replication_slots=0,
    standbys=0,
    sessions_with_temporary_tables=0,
)
TODAY: list[StepFacts | RepeatedFacts] = [
    Frozen(["care"], unverified=1, in_force=False),
    Marked(["a1"], "ab12", ["vv.observations_1"], {"observations": 3}, [1, 2], ["0a"]),
    Marked(["a1"], None, [], {}, [], []),
    KeysDestroyed(handles=2, keys=["ab12"], exports=1, unverified=0),
    RowsErased(["vv.observations_1"]),
    NamesErased({"series": 2}),
    LeasesPublished({"a1": 7}, published=True),
    FilesRewritten({"telemetry": LOOKED}),
    FoundNothing(residue=0, exports=1, not_exports=2),
    FoundNothing(residue=0, exports=0, not_exports=0, looked={"vault": LOOKED}),
    Entered(),
    ErasedAgain(["names"], [4], ["vv.observations_2"], 1),
    RewrittenAgain({"telemetry": LOOKED}),
]


def _name(facts: StepFacts | RepeatedFacts) -> str:
    if isinstance(facts, RepeatedFacts):
        return erasure_steps.repeated_step_of(facts, times=3)
    return erasure_steps.step_of(facts)


@pytest.mark.parametrize("facts", TODAY, ids=lambda facts: type(facts).__name__)
def test_what_is_written_today_comes_back(facts: StepFacts | RepeatedFacts) -> None:
    """Each step decodes to the facts that were encoded, from canonical JSON."""
    step = _name(facts)
    document = erasure_steps.encode(5, step, facts)

    assert erasure_steps.decode(document, number=5, step=step) == facts
    assert erasure_steps.encode(5, step, facts) == document


def test_a_step_has_the_bytes_that_it_had_before_it_had_a_type() -> None:
    """Typed steps encode to the bytes that earlier releases signed."""
    for step, line in SECOND.items():
        found = erasure_steps.decode(line, number=1, step=step)
        assert not isinstance(found, RepeatedFacts)
        if step not in ("freeze", "keys", "verify"):
            assert erasure_steps.encode(1, step, found) == line


@pytest.mark.parametrize("recorded", [FIRST, SECOND], ids=["first", "second"])
def test_each_recorded_row_is_read(recorded: dict[str, bytes]) -> None:
    """Each row of an earlier release's ledger is read as a present step."""
    steps = {
        step: erasure_steps.decode(line, number=1, step=step)
        for step, line in recorded.items()
        if erasure_steps.is_known(step)
    }
    done = Steps(steps)

    assert done.get(Frozen) == Frozen(["home-monitoring"], unverified=0, in_force=True)
    keys, marked, certified = done.get(KeysDestroyed), done.get(Marked), done.get(Certificate)
    assert keys is not None
    assert marked is not None
    assert certified is not None
    assert (keys.handles, keys.keys, keys.unverified) == (1, [marked.data_key], 0)
    assert done.get(RowsErased) == RowsErased([])
    assert done.get(FoundNothing) == FoundNothing(residue=0, exports=0, not_exports=0)
    assert certified.handles == 1


def test_a_sweep_of_before_is_no_rewrite() -> None:
    """A sweep of an early release does not prove a rewrite, so the files are rewritten again."""
    assert "sweep" in FIRST
    assert not erasure_steps.is_known("sweep")
    assert set(SECOND) == set(STEPS)


def test_files_rewritten_for_what_came_after_the_mark_are_read() -> None:
    """Earlier `verify` steps without a count of exports are read."""
    looked = msgspec.to_builtins(LOOKED)
    facts = {"residue": 0, "looked": {"vault": looked}}
    document = msgspec.json.encode({"number": 1, "step": "verify", "facts": facts})

    found = erasure_steps.decode(document, number=1, step="verify")

    assert found == FoundNothing(residue=0, exports=0, not_exports=0, looked={"vault": LOOKED})


def _damaged() -> list[tuple[str, bytes]]:
    cases = []
    for facts in TODAY:
        step = _name(facts)
        document = json.loads(erasure_steps.encode(5, step, facts))
        for damage in ("more", "number", *document["facts"]):
            changed = json.loads(json.dumps(document))
            if damage == "more":
                changed["facts"]["nobody_knows_it"] = 1
            elif damage == "number":
                changed["number"] = 6
            else:
                changed["facts"][damage] = {"of another": ["type"]}
            cases.append((step, json.dumps(changed).encode()))
    return cases


@pytest.mark.parametrize(("step", "document"), _damaged())
def test_what_no_release_wrote_does_not_verify(step: str, document: bytes) -> None:
    """An additional fact, a fact of another type and another erasure's number are refused."""
    with pytest.raises(Tampered):
        erasure_steps.decode(document, number=5, step=step)


@pytest.mark.parametrize(
    "step", [step for step in (*FIRST, "found-1") if step not in ("sweep", "rows")]
)
def test_a_step_without_its_facts_does_not_verify(step: str) -> None:
    """A step without a required fact is refused."""
    document = msgspec.json.encode({"number": 1, "step": step, "facts": {}})

    with pytest.raises(Tampered):
        erasure_steps.decode(document, number=1, step=step)


def test_one_step_is_not_taken_for_another() -> None:
    """A document that was signed as one step is not accepted as another."""
    document = erasure_steps.encode(1, "entered", Entered())

    with pytest.raises(Tampered):
        erasure_steps.decode(document, number=1, step="rows")


def test_the_times_of_a_repeated_step_are_told_by_its_name() -> None:
    """
    The name of a repeated step has its number: `found-12` is the twelfth; other names
    have none.
    """
    assert erasure_steps.times_of(_name(TODAY[-1])) == 3
    assert not any(map(erasure_steps.is_known, ("found-0", "found-", "found-1x", "again-01")))


def test_the_document_is_canonical() -> None:
    """Equal documents are the same bytes, in any order of the facts."""
    marked = Marked([], None, [], {"b": 1, "a": 2}, [], [])
    other = Marked([], None, [], {"a": 2, "b": 1}, [], [])

    assert erasure_steps.encode(1, "mark", marked) == erasure_steps.encode(1, "mark", other)
    assert canonical.digest(b"") != canonical.digest(erasure_steps.encode(1, "mark", marked))
