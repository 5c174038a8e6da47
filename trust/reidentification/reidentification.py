"""Re-identification: stores requests and approvals, opens a request once, logs every attempt."""

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trust.domain import canonical, reidentify
from trust.domain.durations import whole_ms
from trust.domain.lease_keys import is_signing_key
from trust.domain.pseudonyms import PSEUDONYM_BYTES, pseudonymise
from trust.domain.reidentify import (
    APPROVAL_KIND,
    REQUEST_KIND,
    Basis,
    Denial,
    Denied,
    Officer,
    OfficerRole,
    ReidentificationApproval,
    ReidentificationRequest,
    Signed,
)
from trust.errors import KeyFileError, NotFound, Refused
from trust.keys import file_keys, files
from trust.ports import Clock, Keys
from trust.vault.protocols import Records, Vault

MAX_A_DAY: Final = 10


class ReidentificationQuestion(msgspec.Struct, frozen=True):
    """The pseudonyms that a requester wants to resolve, and the reason."""

    purpose: str
    pseudonyms: list[str]
    basis: Basis
    reason: str
    valid_for: dt.timedelta

    def __repr__(self) -> str:
        return "ReidentificationQuestion(…)"


class Reidentification:
    """
    Resolves pseudonyms after two officers other than the requester approved.

    Args:
        vault: The vault that keeps requests, approvals and people.

        trust_keys: The keys of the pseudonyms.

        controller: The name of the controller (GDPR art. 4(7)).

        clock: Tells the time.
    """

    def __init__(self, vault: Vault, trust_keys: Keys, *, controller: str, clock: Clock) -> None:
        self._vault = vault
        self._keys = trust_keys
        self._controller = controller
        self._clock = clock

    def add_officer(self, role: OfficerRole, public_key: Ed25519PublicKey) -> Officer:
        """Register a member of the staff as an officer, with their public key."""
        officer = Officer(uuid.uuid4(), role, public_key.public_bytes_raw().hex())
        with self._vault.transaction() as records:
            records.officers.add(officer)
        return officer

    def request(
        self, requester: UUID, key: Ed25519PrivateKey, question: ReidentificationQuestion
    ) -> ReidentificationRequest:
        """
        Store a request to resolve pseudonyms, signed with the *key* of the requester.

        Raises:
            Denied: The request is not allowed; the denial says why.
        """
        now = whole_ms(self._clock())
        request = ReidentificationRequest(
            request=uuid.uuid4(),
            requester=requester,
            purpose=question.purpose,
            pseudonyms=sorted({_pseudonym(text) for text in question.pseudonyms}),
            basis=question.basis,
            reason=question.reason.strip(),
            requested_at=now,
            expires_at=now + question.valid_for,
        )
        document = canonical.encode(request)
        signed = Signed(document, key.sign(canonical.to_sign(REQUEST_KIND, document)))

        def work(records: Records) -> None:
            officers = records.officers.all()
            reidentify.check_request(signed, officers, at=now)
            since = now - dt.timedelta(days=1)
            if records.reidentifications.requested_since(requester, since) >= MAX_A_DAY:
                raise Denied(Denial.TOO_MANY)
            records.reidentifications.add(request.request, requester, signed)

        self._on_record("request", request.request, requester, work)
        return request

    def approve(
        self, request: UUID, approver: UUID, key: Ed25519PrivateKey
    ) -> ReidentificationApproval:
        """
        Approve *request*, exactly as it is stored, with the *key* of the approver.

        Raises:
            Denied: The approver may not approve this request.
        """
        made: list[ReidentificationApproval] = []

        def work(records: Records) -> None:
            signed, opened_at = _found(records, request)
            officers = records.officers.all()
            now = whole_ms(self._clock())
            asked = reidentify.check_request(signed, officers, at=now)
            if opened_at is not None:
                raise Denied(Denial.REPLAYED)
            approval = ReidentificationApproval(
                request, canonical.digest(signed.document).hex(), approver, now
            )
            document = canonical.encode(approval)
            own = Signed(document, key.sign(canonical.to_sign(APPROVAL_KIND, document)))
            reidentify.check_approval(own, asked, signed.document, officers)
            earlier = [
                canonical.decode(
                    other.document, ReidentificationApproval, what="an approval"
                ).approver
                for other in records.reidentifications.approvals(request)
            ]
            if approver in earlier:
                raise Denied(Denial.SAME_PERSON)
            records.reidentifications.add_approval(request, approver, own)
            made.append(approval)

        self._on_record("approve", request, approver, work)
        return made[0]

    def open(self, request: UUID, requester: UUID, key: Ed25519PrivateKey) -> dict[str, UUID]:
        """
        Resolve the requested pseudonyms, once, for the requester. Unknown ones are omitted.

        Returns:
            The subject of each pseudonym, by the pseudonym in hexadecimal.

        Raises:
            Denied: The request may not be opened; the denial says why.
        """
        found: dict[str, UUID] = {}

        def work(records: Records) -> None:
            signed, opened_at = _found(records, request)
            officers = records.officers.all()
            approvals = records.reidentifications.approvals(request)
            asked = reidentify.check(signed, approvals, officers, at=self._clock())
            if asked.requester != requester:
                raise Denied(Denial.NOT_THE_REQUESTER)
            if officers[requester].officer.key != key.public_key():
                raise Denied(Denial.BAD_SIGNATURE)
            if opened_at is not None or not records.reidentifications.open(request):
                raise Denied(Denial.REPLAYED)
            found.update(self._search(records, asked))

        self._on_record("open", request, requester, work)
        return found

    def _search(
        self, records: Records, asked: ReidentificationRequest
    ) -> Iterator[tuple[str, UUID]]:
        # No table leads from a pseudonym to a person: every person with the purpose is tried.
        wanted = {bytes.fromhex(text) for text in asked.pseudonyms}
        epochs = []
        for epoch in range(1, records.epochs.current(asked.purpose) + 1):
            with contextlib.suppress(KeyFileError):  # Destroyed keys lead to no one.
                epochs.append(
                    (epoch, self._keys.pseudonym_key(purpose=asked.purpose, epoch=epoch))
                )
        for subject in records.handles.subjects_of_purpose(asked.purpose):
            for epoch, key in epochs:
                pseudonym = pseudonymise(
                    subject,
                    key=key,
                    controller=self._controller,
                    purpose=asked.purpose,
                    epoch=epoch,
                )
                if pseudonym.value in wanted:
                    yield pseudonym.value.hex(), subject

    def _on_record(
        self, action: str, request: UUID, officer: UUID, work: Callable[[Records], None]
    ) -> None:
        """Do *work* and log the attempt, in a separate transaction if *work* is refused."""
        try:
            with self._vault.transaction() as records:
                work(records)
                records.reidentifications.add_attempt(
                    request=request, officer=officer, action=action, outcome="done"
                )
        except Denied as exc:
            with self._vault.transaction() as records:
                records.reidentifications.add_attempt(
                    request=request, officer=officer, action=action, outcome=exc.denial
                )
            raise


def _found(records: Records, request: UUID) -> tuple[Signed, dt.datetime | None]:
    found = records.reidentifications.get(request)
    if found is None:
        raise Denied(Denial.NO_SUCH_REQUEST)
    return found


def _pseudonym(text: str) -> str:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != PSEUDONYM_BYTES:
        raise Refused(f"a pseudonym is {2 * PSEUDONYM_BYTES} hexadecimal digits")
    return found.hex()


def make_key(path: Path) -> None:
    """
    Create a key pair for an officer: the private key in *path*, the public key beside it, as .pub.

    Raises:
        KeyFileError: A file exists already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files.write(path, pem, mode=files.SECRET)
    files.write(
        path.with_suffix(".pub"), file_keys.public_pem(key.public_key()), mode=files.PUBLIC
    )


def load_key(pem: bytes, *, name: str) -> Ed25519PrivateKey:
    """
    Return the private key of an officer.

    Args:
        pem: The key as PKCS #8, in PEM.

        name: The name of the file, for the error.

    Raises:
        KeyFileError: The text holds no Ed25519 private key.
    """
    key = files.private_key(pem, name=name)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(name, "not an Ed25519 key", "Make one with `trust officer key`.")
    return key


def load_public_key(pem: bytes, *, name: str) -> Ed25519PublicKey:
    """
    Return an Ed25519 public key.

    Args:
        pem: The key as SubjectPublicKeyInfo, in PEM.

        name: The name of the file, for the error.

    Raises:
        KeyFileError: The text holds no Ed25519 public key.
    """
    key = files.public_key(pem, name=name)
    if not isinstance(key, Ed25519PublicKey) or not is_signing_key(key.public_bytes_raw()):
        raise KeyFileError(name, "not an Ed25519 key", "Point to the .pub file.")
    return key


def names(records: Records, subjects: dict[str, UUID]) -> list[dict[str, str]]:
    """Return pseudonym, subject and name of each person in *subjects*."""
    shown = []
    for pseudonym, subject in subjects.items():
        try:
            name = records.subjects.personal_details(subject).name
        except NotFound:
            continue
        shown.append({"pseudonym": pseudonym, "subject": str(subject), "name": name})
    return shown
