"""
Signed certificates of erasure: what was erased from which store, and what remains until when.

The signature is Ed25519 over RFC 8785 JSON. A certificate names no pseudonym, no handle and no
value. It names the person only by their subject id of the vault.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trust.domain import canonical
from trust.domain.durations import whole_ms
from trust.domain.erasure_steps import (
    Certificate,
    FilesRewritten,
    FoundNothing,
    Frozen,
    KeysDestroyed,
    LeasesPublished,
    Marked,
    NamesErased,
    Remains,
    Rewritten,
)
from trust.errors import Refused, Tampered
from trust.ports import Keys
from trust.vault.records.erasures import Erasure

FORMAT: Final = "vitalveil-erasure/2"
FORMAT_1: Final = "vitalveil-erasure/1"
"""The format of certificates without `looked`; certificates of this format remain valid."""
KIND: Final = "erasure certificate"


class SignedCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate with its signature, as the file holds it."""

    format: str
    key_id: str
    certificate: Certificate
    signature: bytes


class Done(msgspec.Struct, frozen=True):
    """The facts of the finished steps of an erasure, from which a certificate is made."""

    frozen: Frozen
    marked: Marked
    keys: KeysDestroyed
    names: NamesErased
    leases: LeasesPublished
    files: FilesRewritten
    verified: FoundNothing


def certify(
    erasure: Erasure,
    done: Done,
    *,
    now: dt.datetime,
    horizon: tuple[dt.timedelta, dt.timedelta],
) -> Certificate:
    """
    Return the certificate of *erasure*.

    Args:
        erasure: The request: subject, scope and time.

        done: The facts of all its steps.

        now: When the last step was done, with a time zone.

        horizon: How long the write-ahead log is kept, and how long backups are kept.
    """
    wal, backups = horizon
    looked = done.verified.looked or done.files.looked
    return Certificate(
        number=erasure.number,
        subject=str(erasure.subject),
        scope=erasure.purpose or "all",
        requested_at=_text(erasure.requested_at),
        erased_at=_text(now),
        rows={**done.marked.rows, **done.names.rows},
        handles=done.keys.handles,
        exports=done.keys.exports + done.verified.exports,
        keys_destroyed=done.keys.keys,
        leases=done.leases.leases,
        files_rewritten={database: len(one.relations) for database, one in looked.items()},
        remains=[
            *_remains(erasure, now=now, wal=wal, backups=backups),
            *_around(looked.values()),
            *_unread(done),
        ],
        looked=looked,
    )


def _remains(
    erasure: Erasure, *, now: dt.datetime, wal: dt.timedelta, backups: dt.timedelta
) -> list[Remains]:
    return [
        Remains("write-ahead log, its archive, replicas", "rows as they were", _text(now + wal)),
        Remains(
            "free space of the file system",
            "blocks of the files that were replaced",
            "the file system writes over them, or the disk's encryption key is destroyed",
        ),
        Remains(
            "sessions that were open before",
            "what they had read: in their memory, or where they wrote it",
            "they end",
        ),
        Remains("backups", "everything as it was", _text(now + backups)),
        Remains(
            "spools of gateways out of reach",
            "sealed envelopes that the gateway itself cannot open",
            "it has the lease named here, or its last lease ends",
        ),
        Remains(
            "the broker's queue for ingest",
            "sealed envelopes that were under way, and that ingest refuses",
            "ingest has read them, and the broker has saved its store after that",
        ),
        Remains("ledger of ingest", "digests of sealed envelopes, by gateway", "for ever"),
        Remains("cohort figures published before", "k-anonymous, at least 11 people", "for ever"),
        Remains(
            "vault",
            "signed decisions and this ledger: proof of consent, under an id of no known person"
            if erasure.purpose is None
            else "the identity, for other purposes; signed decisions and this ledger",
            "for ever",
        ),
    ]


def _unread(done: Done) -> list[Remains]:
    """Return the records of the person that could not be read and were left as they are."""
    found = []
    if done.frozen.unverified or done.keys.unverified:
        found.append(
            Remains(
                "vault",
                "signed decisions that do not verify: after them no withdrawal could be recorded",
                "for ever",
            )
        )
    if others := done.verified.not_exports:
        found.append(
            Remains(
                "exports",
                f"{others} records of exports that name no export; what they name was left",
                "who changed the vault is known, and the file is looked for by hand",
            )
        )
    return found


def _around(looked: Iterable[Rewritten]) -> list[Remains]:
    """Return the places beside the databases that the erasure could not reach."""
    found = list(looked)
    slots = max(one.replication_slots for one in found)
    standbys = max(one.standbys for one in found)
    tables = sum(one.sessions_with_temporary_tables for one in found)
    remains = []
    if slots:
        remains.append(
            Remains(
                f"write-ahead log kept for {slots} replication slots, and what they spilled",
                "rows as they were; what a logical subscriber copied stays there",
                "the slots have read past the erasure, or are dropped",
            )
        )
    if standbys:
        remains.append(
            Remains(
                f"disks of {standbys} standbys",
                "the same files, until the rewrite is repeated there",
                "they have replayed the erasure and made a checkpoint",
            )
        )
    if tables:
        remains.append(
            Remains(
                f"temporary tables of {tables} sessions",
                "copies that they may have made",
                "these sessions end",
            )
        )
    return remains


def _text(at: dt.datetime) -> str:
    return whole_ms(at).astimezone(dt.UTC).isoformat(timespec="milliseconds")


def sign(certificate: Certificate, keys: Keys) -> SignedCertificate:
    """Return *certificate* with a signature of *keys*."""
    document = canonical.to_sign(KIND, canonical.encode(certificate))
    return SignedCertificate(_format(certificate), keys.key_id, certificate, keys.sign(document))


def _format(certificate: Certificate) -> str:
    return FORMAT_1 if certificate.looked is None else FORMAT


def encode(signed: SignedCertificate) -> bytes:
    """Return *signed* as indented JSON in UTF-8, for a file."""
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def check(data: bytes, public_key: Ed25519PublicKey) -> Certificate:
    """
    Decode a certificate and check its signature; no database is needed.

    Args:
        data: The content of a certificate file.

        public_key: The signing key of the trust that issued the certificate.

    Raises:
        Refused: The data are no certificate, or have another version.
        Tampered: The certificate was changed after signing, or signed with another key.
    """
    try:
        signed = msgspec.json.decode(data, type=SignedCertificate)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refused("the file is no certificate of an erasure") from None
    if signed.format != _format(signed.certificate):
        raise Refused("the file is no certificate of an erasure of this version")
    try:
        document = canonical.to_sign(KIND, canonical.encode(signed.certificate))
        public_key.verify(signed.signature, document)
    except InvalidSignature:
        raise Tampered("a certificate") from None
    return signed.certificate
