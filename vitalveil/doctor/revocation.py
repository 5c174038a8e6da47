"""
Revoked gateways: whether the broker's list has all that the vault knows, and who is not cut off.

The list is judged where the broker reads it, as the broker's user reads it: trust may write all to
another file. What is found names gateways by their id and never a certificate.
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

_MOST: Final = 100
"""Findings of a kind: an operator reads no more, and `trust agent list` has them all."""
_SOON: Final = dt.timedelta(days=30)
_CODE: Final = "trust-revocations"
_USER: Final = "mosquitto"
"""Whom a broker that was started by root becomes where its configuration names no one."""
_WRITE: Final = (
    "Let `vitalveil trust run` write it, which it does each day, and have the broker read it again"
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
    What the vault knows.

    Args:
        serials: Of each revoked certificate: its gateway.

        newest: When the last gateway was revoked; None when none was.
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
    Compare the vault of *connection* with the lists on this machine.

    Args:
        connection: To the vault.

        written: Where trust writes the list.

        reader: How the broker reads it; None where its configuration is not looked at.

        keys: The folder with trust's authority.

        now: The time.
    """
    if connection.execute("SELECT to_regclass('vault.clone_signs')").fetchone() == (None,):
        yield wrong(
            "vault-migrations",
            "the vault does not know whether revoked gateways are cut off",
            "Run `vitalveil trust migrate`, then start trust again.",
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
    """Judge the list that trust writes and those that the broker reads, each file once."""
    if written is None:
        text = "trust writes no revocation list: who is revoked is kept out by hand alone"
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
    """Judge the list in *path*: whole, of our authority, in force, and with all of *revoked*."""
    try:
        crl = x509.load_pem_x509_crl(path.read_bytes())
        ca = x509.load_pem_x509_certificate((keys / CA_FILE).read_bytes())
    except (OSError, ValueError):
        text = f"{path} is no revocation list that can be read: the broker lets no one in"
        return wrong(_CODE, text, _WRITE)
    key = ca.public_key()
    if not isinstance(key, Ed25519PublicKey) or not crl.is_signature_valid(key):
        return wrong(_CODE, f"{path} is the list of another authority", _WRITE)
    return _lacks(path, crl, revoked) or _in_force(path, crl, revoked, now=now)


def _lacks(path: Path, crl: x509.CertificateRevocationList, revoked: Revoked) -> Finding | None:
    """Compare who is on the list in *path* with *revoked*; None when they are the same."""
    listed = {one.serial_number for one in crl if one.serial_number >= PROBES_BELOW}
    if missing := sorted({agent for one, agent in revoked.serials.items() if one not in listed}):
        some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        text = f"{path} lacks certificates of {len(missing)} revoked gateways: {some}"
        return wrong(_CODE, text, _WRITE)
    if unknown := len(listed - revoked.serials.keys()):
        text = f"{path} has {unknown} certificates that are not revoked in the vault"
        remedy = (
            "Was the vault restored from a backup? `vitalveil trust run` revokes them there again;"
            " see docs/howto/restore-a-backup.md."
        )
        return wrong(_CODE, text, remedy)
    return None


def _in_force(
    path: Path, crl: x509.CertificateRevocationList, revoked: Revoked, *, now: dt.datetime
) -> Finding:
    """Judge from when until when the list in *path* is."""
    end = crl.next_update_utc
    if end is not None and end < now:
        return wrong(_CODE, f"{path} has run out: the broker lets no one in", _WRITE)
    # A list begins a little before it is written, and the clocks of the two may differ as much.
    if revoked.newest is not None and crl.last_update_utc + 2 * CLOCKS_APART < revoked.newest:
        return wrong(_CODE, f"{path} is older than the newest revocation", _WRITE)
    if end is not None and end - now < min(_SOON, (end - crl.last_update_utc) / 2):
        return note(_CODE, f"{path} runs out in {(end - now).days} days", _WRITE)
    return sound(_CODE, f"{path} is in force, and has all that are revoked")


def _is_read(written: Path, read: Iterable[Path]) -> Finding:
    """Tell whether the broker reads what trust has *written*, or a copy that is up to date."""
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
        f"the broker does not read what trust writes to {written}",
        "Set certificates.crl_file and `crlfile` of each listener to one file, or copy it again.",
    )


def _readable(path: Path, reader: Reader) -> Finding:
    """
    Tell whether the broker may read *path*: it gives its rights up before it reads it again.

    Access lists and other restrictions than a file's mode are not seen.
    """
    code = "broker-revocations-readable"
    try:
        account = pwd.getpwnam(reader.user or _USER)
    except KeyError:
        # The broker is in a container, or on another machine: what everyone may, it may.
        account = None
    if account is not None and account.pw_uid == 0:
        return sound(code, "the broker runs as root, and may read its revocation list")
    try:
        steps = [(path.resolve(), 4), *((one, 1) for one in path.resolve().parents)]
        closed = [one for one, wanted in steps if not _may(one, wanted, account)]
    except OSError:
        return wrong(code, f"{path} cannot be looked at", "Check the path and who runs this.")
    if not closed:
        return sound(code, "the broker's user may read its revocation list")
    text = f"the user {reader.user or _USER} may not read {path}: {closed[0]} is closed to it"
    remedy = "Let the broker's user read it: otherwise it keeps to an old list."
    # Without a name in the file, who starts the broker decides.
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
    found = connection.execute(_UNCUT, [_MOST]).fetchall()
    for agent, since in found:
        yield wrong(
            "trust-uncut",
            f"gateway {agent} was revoked at {since} UTC, and may be connected still",
            "Have the broker read its revocation list again; see"
            " docs/runbooks/VitalVeilGatewayNotCut.md.",
        )
    if not found:
        yield sound("trust-uncut", "every revoked gateway is cut off")


def _clones(connection: psycopg.Connection) -> Iterable[Finding]:
    found = connection.execute(_CLONES, [_MOST]).fetchall()
    for agent, times, last in found:
        yield wrong(
            "trust-clone",
            f"two seem to use the identity of gateway {agent}: {times} signs, last at {last} UTC",
            "Revoke it and enrol the gateway again, or `vitalveil trust agent vouch`; see"
            " docs/runbooks/VitalVeilCloneSuspected.md.",
        )
    if not found:
        yield sound("trust-clone", "no gateway seems to be used by two")
