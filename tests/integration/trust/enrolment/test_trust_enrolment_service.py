"""Enrolment over HTTPS: private keys remain on the gateway, and a token is used once."""

import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.enrolment import cli as gateway_cli
from edge_agent.enrolment import client, credentials, enrol
from edge_agent.enrolment.cli import add_to
from edge_agent.errors import DeskRefused, DeskUnavailable
from runtime.settings import TlsSettings
from tests.fixtures.vault import Office, Refusal
from tests.support.enrolment_desk import Served
from trust.domain import tokens
from trust.domain.pki import PROBES_BELOW

pytestmark = pytest.mark.database


def tls(folder: Path) -> TlsSettings:
    """Return the files of a gateway."""
    return TlsSettings(folder / "ca.crt", folder / "agent.crt", folder / "agent.key")


def serial(folder: Path) -> int:
    """Return the serial number of a gateway's certificate."""
    return credentials.certificate(folder / "agent.crt").serial_number


def test_a_gateway_makes_its_own_keys_and_measures(
    served: Served, office: Office, tmp_path: Path
) -> None:
    """With a token a gateway gets the files of a bundle, and its own key opens its leases."""
    out = tmp_path / "gateway"
    agent = served.enrol(served.token(), out)

    assert sorted(path.name for path in out.iterdir()) == [
        "agent.crt", "agent.key", "ca.crt", "ingest.pub", "lease.key", "trust.pub",
    ]  # fmt: skip
    assert {path.name for path in out.iterdir() if not path.stat().st_mode & 0o077} == {
        "agent.key",
        "lease.key",
    }
    office.load_policy()
    office.accept(office.add_subject(), agent)
    assert len(office.lease(agent, out).grants) == 1
    assert office.telemetry.fetch("SELECT agent, format FROM vv.agents") == [(agent, "sealed")]
    verified = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile",
         str(out / "ca.crt"), str(out / "agent.crt")],
        capture_output=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr


def test_a_token_counts_once(served: Served, office: Office, tmp_path: Path) -> None:
    """
    A used token is refused for another gateway, and repeated for the same request, whose answer
    was lost.
    """
    token = served.token()
    agent = served.enrol(token, tmp_path / "first")

    with pytest.raises(DeskRefused, match="not accepted"):
        served.enrol(token, tmp_path / "second")
    certificate = (tmp_path / "first" / "agent.crt").read_bytes()
    (tmp_path / "first" / "agent.crt").unlink()
    assert served.enrol(token, tmp_path / "first") == agent
    assert (tmp_path / "first" / "agent.crt").read_bytes() == certificate
    assert office.vault.fetch("SELECT count(*) FROM vault.agents") == [(1,)]


def test_wrong_tokens_are_refused_alike(served: Served, office: Office, tmp_path: Path) -> None:
    """
    A missing token, an expired one and a wrong proof get the same answer; five wrong proofs
    invalidate the token.
    """
    token = served.token()
    parsed = tokens.parse(token)
    assert parsed is not None
    wrong = msgspec.structs.replace(parsed, secret=bytes(24)).format()
    over = served.token()
    office.vault.execute(
        "UPDATE vault.enrolments SET expires_at = now() - interval '1 s' WHERE enrolment = %s",
        getattr(tokens.parse(over), "enrolment", b""),
    )
    for number, bad in enumerate(["", "nonsense", over, *[wrong] * 5]):
        with pytest.raises(DeskRefused, match="the token or certificate is not accepted"):
            served.enrol(bad, tmp_path / f"bad-{number}")
    with pytest.raises(DeskRefused):
        served.enrol(token, tmp_path / "late")
    assert office.vault.fetch("SELECT count(*) FROM vault.agents") == [(0,)]


def test_the_vault_keeps_no_token(served: Served, office: Office) -> None:
    """A token cannot be reconstructed from the vault's rows."""
    token = tokens.parse(served.token())
    assert token is not None
    rows = office.vault.fetch("SELECT e::text FROM vault.enrolments e")
    assert token.enrolment.hex() in str(rows)
    assert token.secret.hex() not in str(rows)


def test_renewal_takes_a_new_key_over_mutual_tls(served: Served, tmp_path: Path) -> None:
    """A gateway renews its certificate by showing the old one, with a newly made key."""
    out = tmp_path / "gateway"
    agent = served.enrol(served.token(), out)
    before, old_key = serial(out), (out / "agent.key").read_bytes()

    enrol.renew(tls(out), agent=agent, url=served.url)

    assert serial(out) != before
    assert (out / "agent.key").read_bytes() != old_key
    assert credentials.is_pair(
        (out / "agent.crt").read_bytes(), credentials.signing_key(out / "agent.key")
    )
    enrol.renew(tls(out), agent=agent, url=served.url)


def test_renewal_is_refused_to_who_is_no_agent(
    served: Served, office: Office, tmp_path: Path
) -> None:
    """A client without a certificate, a service and a revoked agent get no certificate."""
    out = tmp_path / "gateway"
    agent = served.enrol(served.token(), out)
    key = Ed25519PrivateKey.generate()
    body = enrol._Renewing(credentials.certificate_request(key))
    nobody = client.tls_context(served.pki / "ca.crt")
    with pytest.raises(DeskRefused, match="not accepted"):
        client.ask(served.url, "/v1/renew", body, context=nobody)
    service = client.tls_context(
        served.pki / "ca.crt",
        certificate_file=served.pki / "ingest.crt",
        key_file=served.pki / "ingest.key",
    )
    with pytest.raises(DeskRefused, match="not accepted"):
        client.ask(served.url, "/v1/renew", body, context=service)

    office.run("pki", "revoke", agent, "--yes", "--crl", str(tmp_path / "crl.pem"))
    with pytest.raises(DeskRefused, match="not accepted"):
        enrol.renew(tls(out), agent=agent, url=served.url)
    listed = x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())
    of_gateways = [e.serial_number for e in listed if e.serial_number >= PROBES_BELOW]
    assert of_gateways == [serial(out)]


def _copy(folder: Path, to: Path) -> Path:
    """Copy a gateway's memory card."""
    shutil.copytree(folder, to)
    return to


def _signs(office: Office) -> list[tuple[object, ...]]:
    return office.vault.fetch(
        "SELECT agent, kind, times, vouched_at IS NULL FROM vault.clone_signs"
    )


def test_a_copied_card_is_noticed_at_its_renewal(
    served: Served, office: Office, tmp_path: Path
) -> None:
    """
    Each certificate can be renewed once; a second attempt is refused and reported as a
    clone.
    """
    out = tmp_path / "gateway"
    agent = served.enrol(served.token(), out)
    copy = _copy(out, tmp_path / "copy")
    enrol.renew(tls(copy), agent=agent, url=served.url)
    renewed = serial(copy)

    for _ in range(3):
        with pytest.raises(DeskRefused, match="not accepted"):
            enrol.renew(tls(out), agent=agent, url=served.url)

    assert _signs(office) == [(agent, "renewed_twice", 3, True)]
    (row,) = office.run("agent", "list")["rows"]
    assert row["signs_of_a_clone"] == ["renewed_twice"]
    serials = "SELECT count(*) FROM vault.certificates"
    assert office.vault.fetch(serials) == [(2,)], "nothing was issued for the second"
    enrol.renew(tls(copy), agent=agent, url=served.url)
    assert serial(copy) != renewed, "the newest one is renewed"

    assert office.run("agent", "vouch", agent)["signs"] == 1
    (row,) = office.run("agent", "list")["rows"]
    assert row["signs_of_a_clone"] == []
    with pytest.raises(Refusal, match="no such agent with a sign"):
        office.run("agent", "vouch", agent)
    with pytest.raises(DeskRefused, match="not accepted"):
        enrol.renew(tls(out), agent=agent, url=served.url)
    assert _signs(office) == [(agent, "renewed_twice", 4, True)], "it is told again"


def test_a_renewal_whose_answer_was_lost_is_repeated(
    served: Served, office: Office, tmp_path: Path
) -> None:
    """
    The same key gets the same certificate again, however often it asks, and does not count as a
    clone.
    """
    out = tmp_path / "gateway"
    agent = served.enrol(served.token(), out)
    key = Ed25519PrivateKey.generate()
    body = enrol._Renewing(credentials.certificate_request(key))
    files = tls(out)
    context = client.tls_context(
        files.ca_file, certificate_file=files.certificate_file, key_file=files.key_file
    )

    answers = {
        client.ask(served.url, "/v1/renew", body, context=context).certificate for _ in range(4)
    }

    assert len(answers) == 1
    assert _signs(office) == []
    assert office.vault.fetch("SELECT count(*) FROM vault.certificates") == [(2,)]
    assert office.vault.fetch("SELECT agent FROM vault.renewals JOIN vault.certificates USING"
                              " (serial)") == [(agent,)]  # fmt: skip


def test_requests_that_prove_nothing_are_refused(served: Served, tmp_path: Path) -> None:
    """A request with an invalid signature, or an invalid request, does not use the token."""
    token = served.token()
    good = credentials.certificate_request(Ed25519PrivateKey.generate())
    other = credentials.certificate_request(Ed25519PrivateKey.generate())
    lines, others = good.splitlines(), other.splitlines()
    mixed = "\n".join([*lines[:-2], others[-2], lines[-1]])
    context = client.tls_context(served.pki / "ca.crt")
    for request in ("", "-----BEGIN CERTIFICATE REQUEST-----", mixed):
        body = enrol._Enrolling(token, request, bytes(32))
        with pytest.raises(DeskRefused):
            client.ask(served.url, "/v1/enrol", body, context=context)
    with pytest.raises(DeskRefused):
        client.ask(served.url, "/v1/enrol", enrol._Enrolling(token, good, b"x"), context=context)
    with pytest.raises(DeskRefused):
        client.ask(
            served.url, "/v1/enrol", enrol._Enrolling("A" * 20_000, good, bytes(32)),
            context=context,
        )  # fmt: skip
    served.enrol(token, tmp_path / "gateway")


def test_the_desk_is_of_our_ca_or_nobody(served: Served, tmp_path: Path) -> None:
    """A gateway does not send its token to a server with a certificate of another CA."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=Another CA",
         "-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "other.crt")],
        capture_output=True, check=True,
    )  # fmt: skip
    with pytest.raises(DeskRefused, match="is not from the authority in ca_file"):
        enrol.enrol(
            token=served.token(), url=served.url, ca_file=tmp_path / "other.crt",
            out=tmp_path / "gateway",
        )  # fmt: skip


def test_who_tries_too_often_waits(office: Office, tmp_path: Path) -> None:
    """An address that sends too many requests is told to wait, and its token remains valid."""
    served = Served(office, tmp_path, burst=3)
    try:
        for number in range(3):
            with pytest.raises(DeskRefused):
                served.enrol("nonsense", tmp_path / str(number))
        with pytest.raises(DeskUnavailable, match="429"):
            served.enrol(served.token(), tmp_path / "gateway")
    finally:
        served.child.stop()


def test_nothing_said_to_the_desk_is_logged(served: Served, tmp_path: Path) -> None:
    """The log of the service contains neither tokens nor addresses."""
    token = served.token()
    agent = served.enrol(token, tmp_path / "gateway")
    with pytest.raises(DeskRefused):
        served.enrol(token, tmp_path / "other")
    log = served.log.read_text()
    assert "enrolled" in log
    assert not any(said in log for said in (token, token[:10], agent, "127.0.0.1"))


def test_the_command_line_of_the_gateway(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`agent enrol` prints id and folder, and refuses to run a second time."""
    parser = __import__("argparse").ArgumentParser()
    add_to(
        parser.add_subparsers(dest="command"), __import__("argparse").ArgumentParser(add_help=0)
    )
    argv = [
        "enrol", "--token", served.token(), "--url", served.url, "--ca",
        str(served.pki / "ca.crt"), "--out", str(tmp_path / "gateway"),
    ]  # fmt: skip
    assert gateway_cli.run(parser.parse_args(argv)) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"agent", "folder"}
    assert gateway_cli.run(parser.parse_args(argv)) == 1
    assert "is enrolled" in capsys.readouterr().err


def test_an_impatient_client_holds_no_place(served: Served) -> None:
    """A client that connects and sends nothing does not keep others from being served."""
    port = int(served.url.rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    done = threading.Event()
    try:
        context = client.tls_context(served.pki / "ca.crt")
        with pytest.raises(DeskRefused):
            client.ask(served.url, "/v1/enrol", enrol._Renewing(""), context=context)
        done.set()
    finally:
        for connection in silent:
            connection.close()
    assert done.is_set()
