"""The doctor on a sound installation, and with each of many planted faults."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from ingest.config import Settings as IngestSettings
from runtime.settings import load
from simulators.stack.system import System, system
from tests.support.planted_faults import PLANTS, open_to_others
from vitalveil.doctor import broker
from vitalveil.doctor.cli import main
from vitalveil.doctor.finding import Level

pytestmark = [pytest.mark.database, pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def whole() -> Iterator[System]:
    """A sound installation, in which ingest and trust run."""
    with system() as made:
        made.prepare()
        made.start_trust()
        made.start_ingest()
        yield made


def _arguments(whole: System, *more: str) -> list[str]:
    return [
        "--ingest", str(whole.folder / "ingest.toml"),
        "--trust", str(whole.folder / "trust.toml"),
        "--broker-conf", str(whole.broker.folder / "mosquitto.conf"),
        "--broker-acl", str(whole.broker.folder / "acl"),
        "--ingest-url", f"http://127.0.0.1:{whole.ingest_port}",
        "--trust-url", f"http://127.0.0.1:{whole.trust_port}",
        "--least-gib", "0.01", "--json", *more,
    ]  # fmt: skip


def _ill(whole: System, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, str]:
    """Return the findings of the doctor that need attention, each with its remedy."""
    main(_arguments(whole, *more))
    found = json.loads(capsys.readouterr().out)["rows"]
    return {one["code"]: one["remedy"] for one in found if one["level"] != "sound"}


def test_a_sound_installation_has_nothing_wrong(
    whole: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor finds nothing wrong with a sound installation."""
    assert main(_arguments(whole)) == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    assert [one for one in found if one["level"] == "wrong"] == []
    assert len(found) > 40


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found_with_its_mend(
    whole: System, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Each planted fault is found under its own code, with a remedy."""
    code, plant = PLANTS[name]
    assert code not in _ill(whole, capsys)
    with plant(whole):
        found = _ill(whole, capsys)
    assert found.get(code), found
    assert code not in _ill(whole, capsys)


def test_migrations_are_compared_by_a_role_that_may(
    whole: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With a role that may read migrations, missing, changed and later ones are found; none if all
    are applied.
    """
    password, dsn = whole.databases.admin_files("telemetry")
    admin = ["--dsn", dsn, "--password-file", str(password)]
    assert "database-migrations" not in _ill(whole, capsys, *admin)
    forgotten = "DELETE FROM public.vv_migrations WHERE number = 2 RETURNING name, digest"
    with psycopg.connect(whole.databases.admin("telemetry"), autocommit=True) as connection:
        row = connection.execute(forgotten).fetchone()
        assert row is not None
        assert "migrate" in _ill(whole, capsys, *admin)["database-migrations"]
        insert = b"INSERT INTO public.vv_migrations (number, name, digest) VALUES (2, %s, %s)"
        connection.execute(insert, [row[0], "changed"])
        assert "version" in _ill(whole, capsys, *admin)["database-migrations"]
        connection.execute(
            b"UPDATE public.vv_migrations SET digest = %s WHERE number = 2", [row[1]]
        )


def test_a_full_disk_is_found(whole: System, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that is nearly full is found."""
    assert "disk" in _ill(whole, capsys, "--least-gib", "1000000")


def test_an_ingest_that_is_down_is_found(
    whole: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ingest that does not run is found within a bounded time."""
    found = _ill(whole, capsys, "--ingest-url", "http://127.0.0.1:9")
    assert "systemctl" in found["ingest-process"]


def test_another_program_in_its_place_is_found(
    whole: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program on the port of ingest is detected."""
    found = _ill(whole, capsys, "--ingest-url", f"http://127.0.0.1:{whole.trust_port}")
    assert "port" in found["ingest-process"]


def test_the_end_of_the_brokers_certificate_is_seen(whole: System) -> None:
    """
    The end of the broker's certificate is read from the TLS handshake, because ingest's machine
    has no such file.
    """
    settings = load(
        IngestSettings, program="ingest", path=whole.folder / "ingest.toml", environ={}
    ).broker
    now = dt.datetime.now(dt.UTC)
    for later, level in ((0, Level.SOUND), (810, Level.NOTE), (900, Level.WRONG)):
        found = {f.code: f.level for f in broker.look(settings, now=now + dt.timedelta(later))}
        assert found["broker-certificate"] is level


def test_the_doctor_changes_nothing_and_names_no_secret(
    whole: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor changes nothing, does not disconnect ingest, and prints no password."""
    assert whole.ingest is not None
    before = whole.ingest_log.read_text().count("connected")
    main(_arguments(whole))
    told = capsys.readouterr().out
    assert whole.ingest_log.read_text().count("connected") == before
    for role in ("vv_ingest", "vv_trust"):
        assert whole.databases.password_file(role).read_text() not in told


def test_the_command_prints_for_people(whole: System) -> None:
    """
    Without --json the command prints problems first, then a summary; its exit code is 1 if
    something is wrong.
    """
    arguments = [one for one in _arguments(whole) if one != "--json"]
    with open_to_others(whole.pki / "ingest.key"):
        done = subprocess.run(
            [sys.executable, "-m", "vitalveil", "doctor", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("BAD   ingest-tls-key: other users may read")
    assert "faults: 1," in done.stdout.splitlines()[-1]
