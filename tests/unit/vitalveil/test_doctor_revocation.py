"""The doctor compares the revocation lists with the vault, as the broker reads them."""

import datetime as dt
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from trust.domain import pki
from vitalveil.doctor.broker_file import Reader, revocation_lists
from vitalveil.doctor.finding import Finding, Level
from vitalveil.doctor.revocation import Revoked, judge, lists

NOW: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
YEAR: Final = dt.timedelta(days=365)
ADA: Final = pki.PROBES_BELOW + 1
BOB: Final = pki.PROBES_BELOW + 2
VAULT: Final = Revoked({ADA: "ada", BOB: "bob"}, NOW)
CA: Final = pki.create_ca(now=NOW, valid_for=10 * YEAR)


def _write(
    path: Path,
    serials: Iterable[int] = (ADA, BOB),
    *,
    ca: pki.Holder = CA,
    days: int = 365,
    at: dt.datetime = NOW,
) -> Path:
    valid_for = dt.timedelta(days=days)
    on_it = [(serial, at) for serial in serials]
    path.write_bytes(pki.revocation_list(ca, on_it, now=at, valid_for=valid_for))
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder with trust's CA."""
    (tmp_path / "ca.crt").write_bytes(CA.certificate_pem())
    return tmp_path


def _judged(keys: Path, path: Path, *, days: float = 0, vault: Revoked = VAULT) -> Finding:
    return judge(path, vault, keys=keys, now=NOW + dt.timedelta(days=days))


@pytest.mark.parametrize(
    ("valid", "later", "level"),
    [
        pytest.param(365, 0, Level.SOUND, id="in force"),
        pytest.param(365, 350, Level.NOTE, id="runs out soon"),
        pytest.param(365, 370, Level.WRONG, id="has run out"),
        pytest.param(7, 1, Level.SOUND, id="short, and written each day"),
        pytest.param(7, 6, Level.NOTE, id="short, and not written any more"),
    ],
)
def test_a_list_is_judged_by_the_clock(keys: Path, valid: int, later: int, level: Level) -> None:
    """
    An expired list is reported, because the broker then refuses every gateway without a
    message.
    """
    path = _write(keys / "crl.pem", days=valid)
    assert _judged(keys, path, days=later).level is level


def test_a_list_without_a_revoked_certificate_is_found(keys: Path) -> None:
    """If a revoked certificate is missing in the list, its gateway is named."""
    found = _judged(keys, _write(keys / "crl.pem", [ADA]))
    assert found.level is Level.WRONG
    assert "bob" in found.text
    assert "ada" not in found.text
    assert _judged(keys, _write(keys / "crl.pem", [])).level is Level.WRONG


def test_a_list_with_more_than_the_vault_is_found(keys: Path) -> None:
    """
    If the list has more certificates than the vault, the vault was restored, and that is
    reported.
    """
    found = _judged(keys, _write(keys / "crl.pem"), vault=Revoked({ADA: "ada"}, NOW))
    assert found.level is Level.WRONG
    assert "restored" in found.remedy


def test_a_probe_is_not_taken_for_a_gateway(keys: Path) -> None:
    """The probe certificate of each list is not mistaken for a gateway's."""
    assert _judged(keys, _write(keys / "crl.pem", [7, ADA, BOB])).level is Level.SOUND


def test_a_list_that_is_older_than_the_newest_revocation_is_found(keys: Path) -> None:
    """
    A list older than the newest revocation is reported, also if that gateway has no
    certificate.
    """
    path = _write(keys / "crl.pem")
    later = Revoked(VAULT.serials, NOW + dt.timedelta(minutes=4))
    assert _judged(keys, path, vault=later).level is Level.SOUND, "clocks differ"
    late = Revoked(VAULT.serials, NOW + dt.timedelta(hours=1))
    assert _judged(keys, path, vault=late).level is Level.WRONG


def test_what_is_no_list_of_ours_is_found(keys: Path) -> None:
    """A missing, invalid or foreign list is reported."""
    other = pki.create_ca(now=NOW, valid_for=YEAR)
    (keys / "text").write_text("nothing of the kind")
    for path in (keys / "none", keys / "text", _write(keys / "other", ca=other)):
        assert _judged(keys, path).level is Level.WRONG


def _found(keys: Path, written: Path | None, *read: Path, user: str = "root") -> dict[str, Level]:
    found = lists(VAULT, written=written, reader=Reader(read, user), keys=keys, now=NOW)
    return {one.code: one.level for one in found}


def test_a_broker_that_reads_another_file_is_found(keys: Path) -> None:
    """
    If the broker reads another file than trust writes, that is reported; a current copy or a link
    is accepted.
    """
    written, old = _write(keys / "crl.pem"), _write(keys / "old.pem", [ADA])
    link, copy = keys / "link.pem", keys / "copy.pem"
    link.symlink_to(written)
    copy.write_bytes(written.read_bytes())
    code = "broker-revocations-file"

    assert _found(keys, written, written)[code] is Level.SOUND
    assert _found(keys, written, link)[code] is Level.SOUND
    assert _found(keys, written, copy)[code] is Level.SOUND
    assert _found(keys, written, old)[code] is Level.WRONG
    assert _found(keys, written, written, old)[code] is Level.WRONG, "of each listener"
    assert _found(keys, written, keys / "none")[code] is Level.WRONG
    assert _found(keys, None, written)["trust-revocations-unset"] is Level.NOTE


def test_each_list_is_judged_once(keys: Path) -> None:
    """The lists of trust and of each listener are judged once each, by the same rules."""
    written, old = _write(keys / "crl.pem"), _write(keys / "old.pem", [ADA])
    found = list(lists(VAULT, written=written, reader=Reader((old, old)), keys=keys, now=NOW))
    judged = [one.level for one in found if one.code == "trust-revocations"]
    assert judged == [Level.WRONG, Level.SOUND]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_a_list_that_the_broker_cannot_read_is_found(keys: Path) -> None:
    """A list that the broker's user cannot read is reported, because a reload would fail."""
    folder = keys / "closed"
    folder.mkdir()
    path = _write(folder / "crl.pem")
    for one in (folder, *folder.parents[:-1]):
        one.chmod(one.stat().st_mode | 0o011)
    code = "broker-revocations-readable"

    assert _found(keys, path, path, user="nobody")[code] is Level.SOUND
    path.chmod(0o600)
    assert _found(keys, path, path, user="nobody")[code] is Level.WRONG
    assert _found(keys, path, path, user="no-such-account")[code] is Level.NOTE
    assert _found(keys, path, path, user="root")[code] is Level.SOUND
    path.chmod(0o644)
    folder.chmod(0o700)
    assert _found(keys, path, path, user="nobody")[code] is Level.WRONG, "the way to it"
    os.chown(folder, 65534, 65534)
    assert _found(keys, path, path, user="nobody")[code] is Level.SOUND, "its own folder"


def test_the_lists_of_all_listeners_are_read_off_the_configuration() -> None:
    """
    The lists of all listeners are read from the configuration in their order, with the broker's
    user.
    """
    text = """\
user broker
listener 1
crlfile /a/crl.pem
listener 2
crlfile /b/crl.pem
listener 3
crlfile /a/crl.pem
listener 4
"""
    reader = revocation_lists(text)
    assert reader == Reader((Path("/a/crl.pem"), Path("/b/crl.pem")), "broker")
    assert revocation_lists("listener 1\n") == Reader(())
