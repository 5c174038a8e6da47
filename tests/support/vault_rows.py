"""Rows of a vault for tests: people, purposes, gateways, decisions and handles."""

import datetime as dt
import itertools
import secrets
import uuid
from pathlib import Path
from uuid import UUID

import msgspec

from trust.decisions.decisions import Capture, Decision, GivenBy, State
from trust.domain import policy_file
from trust.domain.purposes import Purpose
from trust.domain.subjects import PersonalDetails
from trust.vault.protocols import Records
from trust.vault.records.handles import Handle

PURPOSE = "home-monitoring"
_POLICY = Path(__file__).parents[2] / "trust" / "policies" / "demo.yaml"
_names = itertools.count(1)


def purpose(version: int = 1) -> Purpose:
    """Return a version of the demo's purpose."""
    return msgspec.structs.replace(policy_file.parse(_POLICY.read_text()), version=version)


def add_subject(records: Records, name: str = "Ada Canary") -> UUID:
    """Add a person; return their id."""
    subject = uuid.uuid4()
    records.subjects.add(subject, PersonalDetails(name, "1990-05"))
    return subject


def add_agent(records: Records, *, lease_key: bytes | None = None) -> str:
    """Add a gateway, which sends JSON unless it has a key; names grow in the order of adding."""
    agent = f"{next(_names):08x}{secrets.token_hex(4)}"
    records.agents.add(agent, sealed=lease_key is not None, lease_key=lease_key)
    return agent


def decide(
    records: Records,
    subject: UUID,
    state: State = State.ACCEPTED,
    *,
    at: dt.datetime,
    version: int = 1,
) -> Decision:
    """Append a decision about the demo's purpose, in force from *at*; return it."""
    records.purposes.add(purpose(version))
    before = records.decisions.chain(subject, PURPOSE)
    decision = Decision(
        decision=uuid.uuid4(),
        subject=subject,
        purpose=PURPOSE,
        version=version,
        state=state,
        quantities=["heart_rate"] if state is State.ACCEPTED else [],
        recipients=["care-team"],
        decided_at=at,
        valid_from=at,
        given_by=GivenBy.SELF,
        capture=Capture("signature"),
        supersedes=before[-1].decision if before else None,
    )
    records.decisions.add(decision)
    return decision


def add_handle(records: Records, decision: Decision, agent: str, *, key_epoch: int = 1) -> Handle:
    """Add the handle at *agent* that rests on *decision*; return it."""
    handle = Handle(
        secrets.token_bytes(16),
        decision.subject,
        agent,
        decision.purpose,
        decision.decision,
        ["C0:FF:EE:00:00:01"],
        key_epoch,
    )
    records.handles.add(handle, data_key=records.subjects.data_key(decision.subject))
    return handle
