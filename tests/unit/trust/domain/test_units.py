"""Units that are set aside: causes, sentences, and the times of retries."""

import datetime as dt

import pytest

from runtime.errors import ConfigError
from trust.domain.units import SENTENCES, Cause, UnitKind, back_off, cause_of
from trust.errors import (
    BadLeaseKey,
    BrokerUnavailable,
    KeyFileError,
    LeaseTooLarge,
    NotFound,
    Tampered,
    TrustError,
    Unusable,
    Unwritable,
    VaultUnavailable,
)
from trust.vault.isolation import attempt, attempt_within


def test_every_cause_has_a_sentence_and_a_remedy() -> None:
    """Every cause has a sentence and a remedy for the operator."""
    assert set(SENTENCES) == set(Cause)
    assert all(problem and remedy.endswith(".") for problem, remedy in SENTENCES.values())


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Tampered("a decision"), Cause.TAMPERED),
        (KeyFileError("a.key", "it is missing", "Restore it."), Cause.KEY_FILE),
        (Unwritable("crl.pem", "it cannot be written", "Check."), Cause.FILE),
        (BadLeaseKey(), Cause.LEASE_KEY),
        (LeaseTooLarge(size_bytes=2, limit_bytes=1), Cause.LEASE_TOO_LARGE),
        (Unusable("a policy"), Cause.UNUSABLE),
        (NotFound("purpose", "Load it."), Cause.UNUSABLE),
        (VaultUnavailable("DataError", is_of_a_row=True), Cause.ROW_REFUSED),
        (
            ConfigError(key="keys", source="settings", problem="it is not set", remedy="Set it."),
            Cause.SETTINGS,
        ),
        (KeyError("heart_rate"), Cause.UNFORESEEN),
        (ValueError("Error computing shared key."), Cause.UNFORESEEN),
    ],
)
def test_what_a_unit_raises_ends_its_own_work(error: Exception, cause: Cause) -> None:
    """Every error of a unit becomes a cause from a closed set."""

    def work() -> None:
        raise error

    assert cause_of(error) is cause
    assert attempt(work, kind=UnitKind.GATEWAY) is cause


@pytest.mark.parametrize(
    "error", [VaultUnavailable("OperationalError"), BrokerUnavailable("MqttError")]
)
def test_a_server_that_is_away_is_no_units_fault(error: TrustError) -> None:
    """
    The error that a server is unavailable is raised, because otherwise every unit would be set
    aside.
    """

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        attempt(work, kind=UnitKind.GATEWAY)


def test_a_refused_row_ends_the_transaction_that_it_is_in() -> None:
    """
    Within a transaction a refused row is raised, because the transaction is lost and must be
    repeated one by one.
    """

    def work() -> None:
        raise VaultUnavailable("DataError", is_of_a_row=True)

    with pytest.raises(VaultUnavailable):
        attempt_within(work, kind=UnitKind.PERSON)


def test_the_end_of_the_process_passes() -> None:
    """The end of the process is not taken for a unit's fault."""

    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(work, kind=UnitKind.JOB)


def test_the_log_names_the_type_and_no_value(caplog: pytest.LogCaptureFixture) -> None:
    """Of an unexpected error only the type is logged, because its text may quote a row."""

    def work() -> None:
        raise LookupError("Ada Canary, C0:FF:EE:00:00:01")

    attempt(work, kind=UnitKind.PERSON)

    error = "an error that is not foreseen (LookupError): please report it as a bug"
    assert [(r.msg, r.__dict__["fields"]) for r in caplog.records] == [
        ("unforeseen", {"kind": "person", "error": error})
    ]


def test_waits_grow_to_five_minutes_and_are_spread() -> None:
    """Pauses grow to five minutes, and each is random in the upper half of its bound."""
    longest = [back_off(n, jitter=1.0) for n in range(1, 40)]

    assert longest[:3] == [dt.timedelta(seconds=s) for s in (2, 4, 8)]
    assert longest == sorted(longest)
    assert longest[-1] == dt.timedelta(minutes=5)
    assert back_off(1, jitter=0.0) == dt.timedelta(seconds=1)
    assert back_off(30, jitter=0.0) == dt.timedelta(seconds=150)
