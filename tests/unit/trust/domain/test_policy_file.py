"""Policy files: parsed exactly, or refused with the key and a remedy."""

import contextlib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.domain import policy_file
from trust.domain.purposes import Allowed, Article6, Article9, Retention, parse_reference
from trust.errors import PolicyError
from wire.policy import Aggregate, Rule

POLICIES = resources.files("trust") / "policies"
GOOD = """\
purpose: diabetes-care@3
art6: 6.1.e
art9: 9.2.h
quantities:
  glucose_interstitial: {round: 0.1, min_interval: 300s, time_rounding: 60s, aggregate: last}
retention: {raw: 395d, aggregates: 1826d}
recipients: [care-team]
deny: [rr_interval]
"""


def test_parse_golden_value() -> None:
    """Each key is in the purpose, and roundings are in steps of the quantity's resolution."""
    purpose = policy_file.parse(GOOD)

    assert (purpose.name, purpose.version, purpose.reference) == (
        "diabetes-care",
        3,
        "diabetes-care@3",
    )
    assert (purpose.art6, purpose.art9) == (Article6.PUBLIC_TASK, Article9.CARE)
    assert purpose.quantities == {
        "glucose_interstitial": Allowed(10, 300_000, 60_000, Aggregate.LAST)
    }
    assert purpose.retention == Retention(395, 1826)
    assert (purpose.recipients, purpose.deny, purpose.bucket_bytes) == (
        ["care-team"],
        ["rr_interval"],
        128,
    )


def test_rule_golden_value() -> None:
    """The policy gives the rule that edge agent and ingest share."""
    rule = policy_file.parse(GOOD).rule("glucose_interstitial")
    assert rule == Rule(
        quantity=4, step=10, interval_ms=300_000, time_step_ms=60_000, aggregate=Aggregate.LAST
    )


@pytest.mark.parametrize("name", ["demo.yaml", "care.yaml"])
def test_policies_that_come_along_are_valid(name: str) -> None:
    """The shipped policies are valid, and permit no beat-to-beat intervals."""
    purpose = policy_file.parse((POLICIES / name).read_text())
    assert "rr_interval" in purpose.deny
    assert "rr_interval" not in purpose.quantities


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        pytest.param("art6: 6.1.e\n", "", "art6", id="art. 6 missing"),
        pytest.param("art9: 9.2.h\n", "", "art9", id="art. 9 missing"),
        pytest.param("6.1.e", "6.1.z", "art6", id="no such basis"),
        pytest.param("9.2.h", "9.2", "art9", id="no such exception"),
        pytest.param("@3", "", "purpose", id="no version"),
        pytest.param("@3", "@0", "purpose", id="version nought"),
        pytest.param("glucose_interstitial", "glucose", "quantities.glucose", id="quantity"),
        pytest.param("round: 0.1, ", "", "quantities.glucose_interstitial.round", id="no round"),
        pytest.param("0.1", "0.001", "quantities.glucose_interstitial.round", id="too fine"),
        pytest.param("0.1", "0.015", "quantities.glucose_interstitial.round", id="no multiple"),
        pytest.param("0.1", "fine", "quantities.glucose_interstitial.round", id="no number"),
        pytest.param("0.1", ".nan", "quantities.glucose_interstitial.round", id="NaN"),
        pytest.param("0.1", "-.inf", "quantities.glucose_interstitial.round", id="infinite"),
        pytest.param("300s", "often", "quantities.glucose_interstitial.min_interval", id="time"),
        pytest.param("time_rounding: 60s", "time_rounding: 7s", "quantities.glucose", id="divide"),
        pytest.param(" last", " median", "quantities.glucose_interstitial.aggregate", id="agg"),
        pytest.param("raw: 395d", "raw: 36h", "retention.raw", id="part of a day"),
        pytest.param("raw: 395d", "raw: 999999999d", "retention.raw", id="for ever"),
        pytest.param("raw: 395d, ", "", "retention.raw", id="no retention"),
        pytest.param("[rr_interval]", "[glucose_interstitial]", "quantities.", id="denied"),
        pytest.param("[rr_interval]", "[mac]", "deny", id="deny what"),
        pytest.param("[rr_interval]", "rr_interval", "deny", id="deny no list"),
        pytest.param("deny:", "denny:", "denny", id="unknown key"),
        pytest.param("deny: [rr_interval]", "art6: 6.1.a", "art6", id="twice"),
        pytest.param("deny: [rr_interval]", "pad_bytes: 5", "pad_bytes", id="pad"),
        pytest.param("deny: [rr_interval]", "pad_bytes: true", "pad_bytes", id="pad bool"),
        pytest.param("deny: [rr_interval]", "deny: [[", "file", id="no YAML"),
        pytest.param("deny: [rr_interval]", "1: 2", "file", id="key is no text"),
        pytest.param("deny: [rr_interval]", "[1]: 2", "file", id="key is a list"),
        pytest.param("deny: [rr_interval]", "deny: !!python/name:os.system", "file", id="code"),
    ],
)
def test_error_names_the_key(old: str, new: str, key: str) -> None:
    """A wrong policy is refused with its key, the problem and a remedy."""
    text = GOOD.replace(old, new)
    assert text != GOOD

    with pytest.raises(PolicyError) as error:
        policy_file.parse(text)

    assert error.value.key.startswith(key)
    assert str(error.value).count(". ") + str(error.value).count(": ") >= 1


@pytest.mark.parametrize("text", ["", "[]", "x", "null", "quantities: {}\n", "a: &a [*a]"])
def test_other_files_are_refused(text: str) -> None:
    """A file of another kind is refused."""
    with pytest.raises(PolicyError):
        policy_file.parse(text)


def test_empty_policy_is_refused() -> None:
    """A policy without quantities is refused."""
    start, _, _ = GOOD.partition("  glucose")
    text = start.replace("quantities:", "quantities: {}") + "retention: {raw: 1d, aggregates: 1d}"
    with pytest.raises(PolicyError, match="empty"):
        policy_file.parse(text)


def test_huge_file_is_refused() -> None:
    """A file above the size limit is refused before it is parsed."""
    with pytest.raises(PolicyError, match="Shorten"):
        policy_file.parse("#" * (policy_file.MAX_FILE_BYTES + 1))


@given(st.text(max_size=60))
def test_parse_raises_nothing_else(text: str) -> None:
    """Any text gives a purpose or a PolicyError."""
    with contextlib.suppress(PolicyError):
        policy_file.parse(text)


@pytest.mark.parametrize("text", ["", "a", "a@", "A@1", "a@01", "a--b@1", "a@1\n", "a@1234567"])
def test_parse_reference_refuses(text: str) -> None:
    """A reference is a lower-case name and a version without leading zeros."""
    assert parse_reference(text) is None


def test_parse_reference_reads() -> None:
    """A reference gives name and version."""
    assert parse_reference("home-monitoring@12") == ("home-monitoring", 12)


def test_longer_than_usual_takes_a_reason() -> None:
    """A retention above twenty years needs a reason, which is signed as well."""
    long = GOOD.replace("1826d", "36500d")
    with pytest.raises(PolicyError, match="justification"):
        policy_file.parse(long)
    with pytest.raises(PolicyError, match="justification"):
        policy_file.parse(long + "justification: because\n")
    reason = "a register of implants, kept by law for a life"
    assert policy_file.parse(long + f"justification: {reason}\n").justification == reason
    assert policy_file.parse(GOOD.replace("1826d", "7305d")).retention.aggregate_days == 7305


@pytest.mark.parametrize(
    "texts",
    ["{}", "[]", "{fr-FR: x}", "{fr-FR: 12}", '{french: "' + "a" * 64 + '"}',
     '{fr-FR: "' + "A" * 64 + '"}'],
)  # fmt: skip
def test_texts_are_named_by_their_digests(texts: str) -> None:
    """Texts are named by locale and digest, and anything else is refused."""
    with pytest.raises(PolicyError, match="texts"):
        policy_file.parse(GOOD + f"texts: {texts}\n")
    good = policy_file.parse(GOOD + 'texts: {fr-FR: "' + "a" * 64 + '"}\n')
    assert good.texts_by_locale == {"fr-FR": "a" * 64}
    assert policy_file.parse(GOOD).texts_by_locale == {}


@pytest.mark.parametrize(
    "name",
    ['"insurer\\e[2K"', '"care\\u202emaet"', '""', '" "', '"a\\nb"', '"' + "x" * 101 + '"'],
)
def test_a_recipient_is_a_name_that_can_be_read(name: str) -> None:
    """A recipient must be readable text, because officers approve the words that they see."""
    with pytest.raises(PolicyError, match="recipients"):
        policy_file.parse(GOOD.replace("[care-team]", f"[{name}]"))
    french = policy_file.parse(GOOD.replace("care-team", "Équipe de soins"))
    assert french.recipients == ["Équipe de soins"]
