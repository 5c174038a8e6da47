"""
Checks of revoked gateways: the revocation list has all of them, and all are disconnected.

The list is checked in the file that the broker reads and with the rights of the broker's user,
because trust may write to another file. Findings name gateways by id, and never a certificate.
"""

import datetime as dt
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trust.domain.pki import CLOCKS_APART, PROBES_BELOW
from trust.enrolment.authority import CA_FILE
from vitalveil.doctor.broker_file import Reader
from vitalveil.doctor.finding import Finding, note, sound, wrong

_MAX_FINDINGS: Final = 100
"""Limit of findings with one code; `vitalveil trust agent list` shows all gateways."""
_SOON: Final = dt.timedelta(days=30)
_CODE: Final = "trust-revocations"
_USER: Final = "mosquitto"
"""User that mosquitto becomes when root starts it and its configuration names no user."""
_WRITE: Final = (
    "Run `vitalveil trust run`, which writes the list every day, and make the broker read it again"
    " (`certificates.reload_command`)."
)
_REVOKED: Final = (
    "SELECT serial, agent FROM vault.revocations JOIN vault.certificates USING (serial)"
)
_NEWEST: Final = "SELECT max(revoked_at) FROM vault.agents"
_UNCUT: Final = """
SELECT agent, to_char(revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM vault.agents
WHERE revoked_at IS NOT NULL AND cut_at IS NULL ORDER BY revoked_at, agent LIMIT %s
"""
_CLONES: Final = """
SELECT agent, sum(times), to_char(max(last_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
FROM vault.clone_signs JOIN vault.agents USING (agent)
WHERE vouched_at IS NULL AND revoked_at IS NULL GROUP BY agent ORDER BY agent LIMIT %s
"""


class Revoked(msgspec.Struct, frozen=True):
    """
    The revocations in the vault.

    Args:
        serials: The gateway of each revoked certificate, by serial number.

        newest: When the last gateway was revoked; None if none was.
    """

    serials: Mapping[int, str]
    newest: dt.datetime | None = None


def look(
    connection: psycopg.Connection,
    *,
    written: Path | None,
    reader: Reader | None,
    keys: Path,
    now: dt.datetime,
) -> Iterable[Finding]:
    """
    Compare the vault with the revocation lists on this machine.

    Args:
        connection: A connection to the vault.

        written: The file to which trust writes the list.

        reader: How the broker reads lists; None if its configuration is not checked.

        keys: The folder with the certificate of trust's authority.

        now: The current time.
    """
    if connection.execute("SELECT to_regclass('vault.clone_signs')").fetchone() == (None,):
        yield wrong(
            "vault-migrations",
            "the schema of the vault is of an earlier version",
            "Run `vitalveil trust migrate`, then restart trust.",
        )
        return
    serials = {int(serial): str(agent) for serial, agent in connection.execute(_REVOKED)}
    newest = connection.execute(_NEWEST).fetchone()
    revoked = Revoked(serials, None if newest is None else newest[0])
    yield from lists(revoked, written=written, reader=reader, keys=keys, now=now)
    yield from _uncut(connection)
    yield from _clones(connection)


def lists(
    revoked: Revoked, *, written: Path | None, reader: Reader | None, keys: Path, now: dt.datetime
) -> Iterable[Finding]:
    """Judge the list that trust writes and the lists that the broker reads, each file once."""
    if written is None:
        text = (
            "trust writes no revocation list: unless the broker's list is updated by hand,"
            " revoked gateways can still connect"
        )
        yield note(
            "trust-revocations-unset", text, "Set certificates.crl_file to the broker's crlfile."
        )
    read = () if reader is None else reader.files
    if written is not None and read:
        yield _is_read(written, read)
    for path in dict.fromkeys((*read, *(() if written is None else (written,)))):
        yield judge(path, revoked, keys=keys, now=now)
    if reader is not None:
        for path in dict.fromkeys(read):
            yield _readable(path, reader)


def judge(path: Path, revoked: Revoked, *, keys: Path, now: dt.datetime) -> Finding:
    """Judge the list in *path*: readable, of trust's authority, valid, and complete."""
    try:
        crl = x509.load_pem_x509_crl(path.read_bytes())
        ca = x509.load_pem_x509_certificate((keys / CA_FILE).read_bytes())
    except (OSError, ValueError):
        text = f"{path} is not a readable revocation list: the broker refuses all clients"
        return wrong(_CODE, text, _WRITE)
    key = ca.public_key()
    if not isinstance(key, Ed25519PublicKey) or not crl.is_signature_valid(key):
        return wrong(_CODE, f"{path} is the revocation list of another authority", _WRITE)
    return _lacks(path, crl, revoked) or _in_force(path, crl, revoked, now=now)


def _lacks(path: Path, crl: x509.CertificateRevocationList, revoked: Revoked) -> Finding | None:
    """Compare the serial numbers in *path* with *revoked*; return None if they are the same."""
    listed = {one.serial_number for one in crl if one.serial_number >= PROBES_BELOW}
    if missing := sorted({agent for one, agent in revoked.serials.items() if one not in listed}):
        some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        text = f"{path} lacks certificates of {len(missing)} revoked gateways: {some}"
        return wrong(_CODE, text, _WRITE)
    if unknown := len(listed - revoked.serials.keys()):
        text = f"{path} has {unknown} certificates that are not revoked in the vault"
        remedy = (
            "If the vault was restored from a backup, `vitalveil trust run` revokes them there"
            " again; see docs/howto/restore-a-backup.md."
        )
        return wrong(_CODE, text, remedy)
    return None


def _in_force(
    path: Path, crl: x509.CertificateRevocationList, revoked: Revoked, *, now: dt.datetime
) -> Finding:
    """Judge the period in which the list in *path* is valid."""
    end = crl.next_update_utc
    if end is not None and end < now:
        return wrong(_CODE, f"{path} has expired: the broker refuses all clients", _WRITE)
    # A list begins shortly before it is written, and the clocks of two machines may differ.
    if revoked.newest is not None and crl.last_update_utc + 2 * CLOCKS_APART < revoked.newest:
        return wrong(_CODE, f"{path} is older than the newest revocation", _WRITE)
    if end is not None and end - now < min(_SOON, (end - crl.last_update_utc) / 2):
        return note(_CODE, f"{path} expires in {(end - now).days} days", _WRITE)
    return sound(_CODE, f"{path} is valid, and has all revoked certificates")


def _is_read(written: Path, read: Iterable[Path]) -> Finding:
    """Check that the broker reads the file that trust has *written*, or an identical copy."""
    code = "broker-revocations-file"
    try:
        wanted = written.read_bytes()
        is_same = all(one.read_bytes() == wanted for one in read)
    except OSError:
        is_same = False
    if is_same:
        return sound(code, "the broker reads the list that trust writes")
    return wrong(
        code,
        f"the broker does not read the revocation list that trust writes to {written}",
        "Set certificates.crl_file and `crlfile` of each listener to the same file, or copy it.",
    )


def _readable(path: Path, reader: Reader) -> Finding:
    """
    Check that the broker may read *path* after it has given up the rights of root.

    Only modes of files are checked, not access control lists or other restrictions.
    """
    code = "broker-revocations-readable"
    try:
        account = pwd.getpwnam(reader.user or _USER)
    except KeyError:
        # The broker runs in a container or elsewhere: only rights of all users are certain.
        account = None
    if account is not None and account.pw_uid == 0:
        return sound(code, "the broker runs as root, and may read its revocation list")
    try:
        steps = [(path.resolve(), 4), *((one, 1) for one in path.resolve().parents)]
        closed = [one for one, wanted in steps if not _may(one, wanted, account)]
    except OSError:
        remedy = "Check the path, and which user runs the doctor."
        return wrong(code, f"{path} cannot be checked", remedy)
    if not closed:
        return sound(code, "the broker's user may read the revocation list")
    text = f"the user {reader.user or _USER} may not read {path}: {closed[0]} does not allow it"
    remedy = "Allow the broker's user to read it: otherwise the broker keeps using an old list."
    # If the configuration names no user, the user depends on how the broker is started.
    is_known = account is not None and bool(reader.user)
    return wrong(code, text, remedy) if is_known else note(code, text, remedy)


def _may(path: Path, wanted: int, account: pwd.struct_passwd | None) -> bool:
    found = path.stat()
    if account is not None and found.st_uid == account.pw_uid:
        return bool(found.st_mode >> 6 & wanted)
    if account is not None and found.st_gid == account.pw_gid:
        return bool(found.st_mode >> 3 & wanted)
    return bool(found.st_mode & wanted)


def _uncut(connection: psycopg.Connection) -> Iterable[Finding]:
    found = connection.execute(_UNCUT, [_MAX_FINDINGS]).fetchall()
    for agent, since in found:
        yield wrong(
            "trust-uncut",
            f"gateway {agent} was revoked at {since} UTC, and may still be connected",
            "Make the broker read its revocation list again; see"
            " docs/runbooks/VitalVeilGatewayNotCut.md.",
        )
    if not found:
        yield sound("trust-uncut", "all revoked gateways are disconnected")


def _clones(connection: psycopg.Connection) -> Iterable[Finding]:
    found = connection.execute(_CLONES, [_MAX_FINDINGS]).fetchall()
    for agent, times, last in found:
        yield wrong(
            "trust-clone",
            f"two devices may use the identity of gateway {agent}: {times} signs, the last at"
            f" {last} UTC",
            "Revoke the gateway and enrol it again, or run `vitalveil trust agent vouch`; see"
            " docs/runbooks/VitalVeilCloneSuspected.md.",
        )
    if not found:
        yield sound("trust-clone", "no gateway's identity seems to be used by two devices")
