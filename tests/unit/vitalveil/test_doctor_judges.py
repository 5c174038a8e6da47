"""The doctor's findings from facts that cannot be created on a test's server."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import TlsSettings
from tests.fixtures.pki import Certificates
from trust.domain import pki
from vitalveil.doctor import broker, broker_file, database, files, interpreter, process
from vitalveil.doctor.cli import main
from vitalveil.doctor.finding import Finding, Level

_SOUND: dict[str, Any] = {
    "version": 170000,
    "offset": 0.01,
    "schema": True,
    "applied": None,
    "timescale": "2.29.2",
    "license": "timescale",
    "settings": {
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_error_verbosity": "terse",
        "password_encryption": "scram-sha-256",
    },
    "encrypted": True,
    "local": False,
    "roles": ["vv_grafana", "vv_ingest", "vv_owner", "vv_reader", "vv_trust"],
    "public_create": False,
    "unique_index": 0,
    "long_transactions": 0,
    **dict.fromkeys(key for key, *_ in database._GRANTS),
}


def _ill(found: list[Finding]) -> dict[str, Level]:
    return {one.code: one.level for one in found if one.level is not Level.SOUND}


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        pytest.param({"offset": -3.0}, "database-clock", Level.WRONG, id="clocks differ"),
        pytest.param({"version": 140000}, "database-version", Level.WRONG, id="old server"),
        pytest.param({"version": 190001}, "database-version", Level.NOTE, id="new server"),
        pytest.param({"timescale": "2.24.0"}, "timescale", Level.WRONG, id="old extension"),
        pytest.param({"timescale": "2.25.2"}, "timescale", Level.NOTE, id="not the pinned one"),
        pytest.param({"license": "apache"}, "timescale-licence", Level.NOTE, id="licence"),
        pytest.param({"encrypted": False}, "database-tls", Level.WRONG, id="no TLS"),
        pytest.param({"roles": ["vv_owner"]}, "database-roles", Level.WRONG, id="no roles"),
        pytest.param({"schema": False}, "database-schema", Level.WRONG, id="no schema"),
        pytest.param({"long_transactions": 1}, "database-transaction", Level.NOTE, id="idle"),
        pytest.param({"applied": {1: "x"}}, "database-migrations", Level.WRONG, id="behind"),
    ],
)
def test_facts_are_judged(facts: dict[str, Any], code: str, level: Level) -> None:
    """Each fact is judged alone, on a database that is otherwise sound."""
    assert code not in _ill(list(database.judge(_SOUND))) or code == "database-migrations"
    assert _ill(list(database.judge({**_SOUND, **facts})))[code] is level


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        pytest.param(
            {
                "vitalveil_ingest_permissions_gate_epoch": 4,
                "vitalveil_ingest_permissions_epoch": 3,
            },
            "permissions-feed",
            id="behind",
        ),
        pytest.param({"vitalveil_ingest_quarantine_envelopes": 1}, "quarantine", id="quarantine"),
        pytest.param({"vitalveil_ingest_received_envelopes_total": 1}, "books", id="unaccounted"),
        pytest.param(
            {"vitalveil_ingest_refused_receipts_total": 1}, "receipts-refused", id="receipts"
        ),
        pytest.param({"vitalveil_ingest_waiting_receipts": 1}, "receipts-waiting", id="waiting"),
        pytest.param({"vitalveil_trust_tampered_agents": 1}, "vault-tampered", id="tampered"),
        pytest.param({"vitalveil_trust_missing_decisions": 1}, "vault-missing", id="missing"),
        pytest.param(
            {"vitalveil_trust_unsettled_erasures": 1}, "erasures-unsettled", id="erasures"
        ),
        pytest.param({"vitalveil_trust_overdue_leases": 2}, "leases-late", id="leases"),
    ],
)
def test_metrics_are_judged(samples: dict[str, float], code: str) -> None:
    """The doctor judges the content of a process's metrics, not only that it answers."""
    assert code in _ill(list(process.judge(samples)))
    assert _ill(list(process.judge(dict.fromkeys(samples, 0)))) == {}


def test_ingest_that_does_not_see_its_database_is_told() -> None:
    """If ingest's metrics of the database are missing, that is a finding."""
    epoch = {"vitalveil_ingest_permissions_epoch": 3.0}
    assert _ill(list(process.judge(epoch))) == {"database-watch": Level.NOTE}


def test_books_that_balance_are_sound() -> None:
    """If the counts of ingest balance, with envelopes in flight, they are sound."""
    names = ("received_envelopes_total", "envelopes_total", "in_flight_envelopes")
    samples = dict(zip((f"vitalveil_ingest_{n}" for n in names), (5.0, 3.0, 2.0), strict=True))
    assert _ill(list(process.judge(samples))) == {}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({"log_error_verbosity": "default"}, "database-log-detail", id="detail"),
        pytest.param(
            {"log_parameter_max_length_on_error": "-1"}, "database-log-errors", id="on error"
        ),
        pytest.param({"log_min_duration_sample": "5"}, "database-log-parameters", id="samples"),
        pytest.param(
            {"log_transaction_sample_rate": "0.1"}, "database-log-parameters", id="transactions"
        ),
    ],
)
def test_what_the_server_logs_is_judged(settings: dict[str, str], code: str) -> None:
    """Each setting that writes values into the server's log is found."""
    facts = {**_SOUND, "settings": {**_SOUND["settings"], **settings}}
    assert code not in _ill(list(database.judge(_SOUND)))
    assert _ill(list(database.judge(facts)))[code] is Level.WRONG


@pytest.mark.parametrize(
    ("above", "code"),
    [
        pytest.param("use_username_as_clientid true", "broker-default-listener", id="an option"),
        pytest.param("port 1883", "broker-default-listener", id="a port"),
        pytest.param("include_dir /etc/mosquitto/conf.d", "broker-include", id="more files"),
        pytest.param("connection away", "broker-bridge", id="a bridge"),
        pytest.param("tls_version tlsv1.3", None, id="nothing that opens"),
    ],
)
def test_listener_that_nobody_wrote_down_is_found(above: str, code: str | None) -> None:
    """
    An option before the first listener makes mosquitto open port 1883 without TLS, which
    is found.
    """
    file = Path(__file__).parents[3] / "deploy" / "mosquitto" / "mosquitto.conf"
    text = file.read_text(encoding="utf-8")
    assert _ill(list(broker_file.configuration(text))) == {}
    assert set(_ill(list(broker_file.configuration(f"{above}\n{text}")))) == {code} - {None}


@pytest.mark.parametrize(
    ("arguments", "flags", "prefix", "level"),
    [
        pytest.param("'--enable-optimizations'", "-O3", "/opt", Level.SOUND, id="the image's"),
        pytest.param("'--prefix=/usr'", "-g -O2 -g", "/usr", Level.SOUND, id="Debian's"),
        pytest.param("'--enable-shared'", "-O3 -Wall", "/opt", Level.NOTE, id="in passing"),
        pytest.param("'--enable-optimizations'", "-O3 -O0", "/opt", Level.NOTE, id="to debug"),
        pytest.param("", "-g", "/usr", Level.NOTE, id="no level"),
    ],
)
def test_interpreter_is_judged_by_how_it_was_built(
    arguments: str, flags: str, prefix: str, level: Level
) -> None:
    """
    An interpreter without optimisation is reported, because it costs up to a fifth of
    the speed.
    """
    found = interpreter.judge(arguments=arguments, flags=flags, prefix=prefix)
    assert found.level is level
    assert interpreter.look().code == "interpreter"


def test_versions_are_judged() -> None:
    """The interpreter is the one that runs here; mosquitto, the one that is installed here."""
    assert interpreter.version().text.startswith(f"Python 3.{sys.version_info[1]} is")
    found = list(broker.installed())
    assert [one.code for one in found] == ["broker-version"] * bool(found)
    assert all(one.text.startswith("mosquitto ") for one in found)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        pytest.param("mosquitto version 1.6.12", Level.WRONG, id="too old"),
        pytest.param("mosquitto version 2.0.21", Level.SOUND, id="supported"),
        pytest.param("mosquitto version 2.1.0", Level.NOTE, id="later"),
        pytest.param("not found", None, id="no version"),
    ],
)
def test_the_broker_that_is_installed_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, level: Level | None
) -> None:
    """Mosquitto ends with an exit code of its own when it is asked for help."""
    program = tmp_path / "mosquitto"
    program.write_text(f"#!/bin/sh\necho '{said}'\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert [one.level for one in broker.installed()] == [level] * (level is not None)


@pytest.mark.parametrize(
    ("days", "level"),
    [
        pytest.param(-2, Level.WRONG, id="not valid yet"),
        pytest.param(0, Level.NOTE, id="ends soon"),
        pytest.param(2, Level.WRONG, id="has ended"),
    ],
)
def test_certificates_are_judged_by_the_clock(
    certificates: Certificates, days: int, level: Level
) -> None:
    """A certificate is reported before it begins, near its end and after it."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    found = files.tls("ingest", certificates.client("ingest"), common_name="ingest", now=now)
    assert _ill(list(found))["ingest-certificate"] is level


def test_one_authority_that_follows_another_is_no_fault(
    certificates: Certificates, tmp_path: Path
) -> None:
    """Of several CAs in a file only the issuer's end counts, wherever it is."""
    now = dt.datetime.now(dt.UTC)
    of = certificates.client("ingest")
    other = pki.create_ca(now=now - dt.timedelta(days=9), valid_for=dt.timedelta(days=8))
    both = tmp_path / "ca.crt"
    both.write_bytes(other.certificate_pem() + of.ca_file.read_bytes())

    def found(ca_file: Path) -> dict[str, Level]:
        settings = TlsSettings(ca_file, of.certificate_file, of.key_file)
        return _ill(list(files.tls("ingest", settings, common_name="ingest", now=now)))

    assert found(both) == found(of.ca_file)
    (tmp_path / "other.crt").write_bytes(other.certificate_pem())
    assert found(tmp_path / "other.crt")["ingest-issuer"] is Level.WRONG


def test_what_is_no_metrics_is_no_reason_to_fall() -> None:
    """A page of another program, in any encoding, has no samples."""
    assert process._samples("<!doctype html>\n<p>It works!</p>\n") == {}


@pytest.mark.parametrize("url", ["http://x:abc", "https://x", "x", "http://:1", "http://x:70000"])
def test_what_is_no_address_is_told_at_once(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid address gives exit code 2 and one sentence, without a traceback."""
    with pytest.raises(SystemExit, match="2"):
        main(["--ingest-url", url])
    assert "--ingest-url" in capsys.readouterr().err


def test_rules_of_each_shard_bound_what_a_gateway_may_leave() -> None:
    """
    The shipped access rules are sound; a missing one is found, and a single one for all shards is
    noted.
    """
    shipped = (Path(__file__).parents[3] / "deploy" / "mosquitto" / "acl").read_text()
    each = [f"pattern write vv1/obs/{shard:02x}/%u\n" for shard in range(64)]
    assert [one.level for one in broker_file.rules(shipped)] == [Level.SOUND]
    assert {one.code for one in broker_file.rules(shipped.replace(each[63], ""))} == {
        "broker-acl-missing",
        "broker-acl-wide",
    }
    for_all = shipped.replace("".join(each), "pattern write vv1/obs/+/%u\n")
    assert {one.code: one.level for one in broker_file.rules(for_all)} == {
        "broker-acl-retained": Level.NOTE,
        "broker-acl-rules": Level.SOUND,
    }
