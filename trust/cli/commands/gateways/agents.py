"""Commands about gateways: enrol, list, certificates, revocation, leases."""

import datetime as dt
import enum
from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, UnsetType

from trust.cli.command import (
    Agent,
    Arguments,
    Command,
    File,
    Folder,
    Option,
    Result,
    Row,
    read_file,
)
from trust.cli.commands.effects import effects
from trust.cli.format import format_instant
from trust.composition import App, now
from trust.enrolment.bulk_enrolment import MAX_AGENTS
from trust.enrolment.enrolment import check_ingest_key
from trust.errors import NotFound, Refused
from trust.vault.records.agents import ListedAgent

_SHORTEST_TOKEN: Final = dt.timedelta(minutes=1)
_LONGEST_TOKEN: Final = dt.timedelta(days=7)
_PAGE: Final = 1000


class LeaseFormat(enum.StrEnum):
    """The form of a gateway's leases."""

    SEALED = "sealed"
    JSON = "json"


class EnrolAgent(Arguments, frozen=True, kw_only=True):
    """Arguments: enrol gateways with a token, with one bundle, or with many bundles."""

    valid_for: Annotated[
        dt.timedelta, Option(help="how long the token is good (default: 1h)", metavar="1h")
    ] = dt.timedelta(hours=1)
    ingest_key: Annotated[
        File | None,
        Option(help="with --out: the public key of ingest", metavar="FILE", reads=read_file),
    ] = None
    out: Annotated[
        str | None,
        Option(help="make the keys here, and write a bundle to this folder", metavar="DIR"),
    ] = None
    count: Annotated[
        int | None,
        Option(
            help="with --out: as many bundles, each in a folder with the id of its gateway",
            metavar="N",
        ),
    ] = None
    format: Annotated[
        LeaseFormat, Option(help="json for gateways without a lease key (default: sealed)")
    ] = LeaseFormat.SEALED


class Enrolled(Result, frozen=True, kw_only=True):
    """Result: the token, or the folder with one or many bundles."""

    token: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    next: str | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    agents: int | UnsetType = UNSET
    folder: str | UnsetType = UNSET


def _enrol(app: App, arguments: EnrolAgent) -> Enrolled:
    is_sealed = arguments.format is LeaseFormat.SEALED
    if arguments.out is None:
        if arguments.count is not None:
            raise Refused("--count makes bundles, and each gateway takes one token: give --out")
        return _issue_token(app, arguments.valid_for, sealed=is_sealed)
    if arguments.ingest_key is None:
        raise Refused("a bundle holds ingest's public key: give --ingest-key")
    given, out = arguments.ingest_key, Path(arguments.out)
    if arguments.count is None:
        key = check_ingest_key(given.content, name=given.name)
        agent = app.enrolment.enrol(ingest_key=key, out=out, sealed=is_sealed)
        return Enrolled(agent=agent, folder=str(out))
    if not 1 <= arguments.count <= MAX_AGENTS:
        raise Refused(f"--count is from 1 to {MAX_AGENTS}")
    key = check_ingest_key(given.content, name=given.name)
    agents = app.bulk_enrolment.enrol(arguments.count, ingest_key=key, out=out, sealed=is_sealed)
    return Enrolled(agents=agents, folder=str(out))


def _issue_token(app: App, valid_for: dt.timedelta, *, sealed: bool) -> Enrolled:
    if not _SHORTEST_TOKEN <= valid_for <= _LONGEST_TOKEN:
        raise Refused("--valid-for is from a minute to a week")
    token, expires_at = app.enrolment_service.issue_token(valid_for=valid_for, sealed=sealed)
    return Enrolled(
        token=token.format(),
        expires_at=format_instant(expires_at),
        next="on the gateway: vitalveil agent enrol --token - --url https://HOST:8443"
        " --ca ca.crt --out DIR",
    )


class AgentState(enum.StrEnum):
    """Which gateways a list shows."""

    IN_SERVICE = "in-service"
    REVOKED = "revoked"
    SUSPECT = "suspect"
    """Those with signs of a clone."""


class ListAgents(Arguments, frozen=True, kw_only=True):
    """Arguments: which gateways to list; None for no condition."""

    state: Annotated[AgentState | None, Option(help="those in this state (default: all)")] = None
    certificate_ends_within: Annotated[
        dt.timedelta | None,
        Option(help="those whose certificate ends within this time, or has ended", metavar="30d"),
    ] = None
    lease_ends_within: Annotated[
        dt.timedelta | None,
        Option(help="those whose lease ends within this time, or has ended", metavar="12h"),
    ] = None


class AgentRow(Row, frozen=True, kw_only=True):
    """One gateway in a list."""

    agent: str
    format: str
    enrolled_at: str | None
    revoked_at: str | None
    lease: int | None
    lease_ends_at: str | None
    certificate_ends_at: str | None
    signs_of_a_clone: list[str]
    may_be_connected: bool


class AgentList(Result, frozen=True, kw_only=True):
    """Result: all gateways."""

    rows: list[AgentRow]


def _list(app: App, arguments: ListAgents) -> AgentList:
    at = now()
    rows: list[AgentRow] = []
    after = ""
    while True:
        with app.vault.transaction() as records:
            page = records.agents.page(after=after, limit=_PAGE)
        rows += [
            AgentRow(
                agent=one.agent,
                format=one.format,
                enrolled_at=_instant(one.enrolled_at),
                revoked_at=_instant(one.revoked_at),
                lease=one.lease_version or None,
                lease_ends_at=_instant(one.lease_ends_at),
                certificate_ends_at=_instant(one.certificate_ends_at),
                signs_of_a_clone=one.clone_signs,
                may_be_connected=one.may_be_connected,
            )
            for one in page
            if _is_asked(one, arguments, at=at)
        ]
        if len(page) < _PAGE:
            return AgentList(rows=rows)
        after = page[-1].agent


def _is_asked(one: ListedAgent, arguments: ListAgents, *, at: dt.datetime) -> bool:
    is_of_state = {
        None: True,
        AgentState.IN_SERVICE: one.revoked_at is None,
        AgentState.REVOKED: one.revoked_at is not None,
        AgentState.SUSPECT: bool(one.clone_signs),
    }[arguments.state]
    return (
        is_of_state
        and _ends(one.certificate_ends_at, within=arguments.certificate_ends_within, at=at)
        and _ends(one.lease_ends_at, within=arguments.lease_ends_within, at=at)
    )


def _ends(ends_at: dt.datetime | None, *, within: dt.timedelta | None, at: dt.datetime) -> bool:
    return within is None or (ends_at is not None and ends_at <= at + within)


def _instant(at: dt.datetime | None) -> str | None:
    return None if at is None else format_instant(at)


class VouchForAgent(Arguments, frozen=True, kw_only=True):
    """A gateway's id."""

    agent: Agent


class AgentVouchedFor(Result, frozen=True, kw_only=True):
    """Result: how many signs of a clone were settled."""

    agent: str
    signs: int


def _vouch(app: App, arguments: VouchForAgent) -> AgentVouchedFor:
    with app.vault.transaction() as records:
        signs = records.agents.vouch(arguments.agent)
    if not signs:
        raise NotFound("agent with a sign of a clone", "See `vitalveil trust agent list`.")
    return AgentVouchedFor(agent=arguments.agent, signs=signs)


class IssueCertificate(Arguments, frozen=True, kw_only=True):
    """Arguments: the gateway's id, and the folder of its new key and certificate."""

    agent: Agent
    out: Folder


class CertificateIssued(Result, frozen=True, kw_only=True):
    """Result: the path of the certificate."""

    agent: str
    folder: str


def _issue(app: App, arguments: IssueCertificate) -> CertificateIssued:
    out = Path(arguments.out)
    app.enrolment.issue(arguments.agent, out=out)
    return CertificateIssued(agent=arguments.agent, folder=str(out))


class RevokeAgent(Arguments, frozen=True, kw_only=True):
    """A gateway's id."""

    agent: Agent
    crl: Annotated[
        str | None,
        Option(
            help="the revocation list to write; by default that of the settings", metavar="FILE"
        ),
    ] = None


class AgentRevoked(Result, frozen=True, kw_only=True):
    """Result: which measures against the gateway are in force, and which are pending."""

    agent: str
    withdrawn_at: str | UnsetType | None = UNSET
    committed_at: str | UnsetType = UNSET
    lease_version: int | UnsetType | None = UNSET
    leases: dict[str, int] | UnsetType = UNSET
    crl: str | None
    stored: str
    connected: str
    next: str


def _revoke(app: App, arguments: RevokeAgent) -> AgentRevoked:
    given = None if arguments.crl is None else Path(arguments.crl)
    crl = given or app.settings.certificates.crl_file
    revoked = app.enrolment.revoke(arguments.agent)
    cut = app.cutoff(crl=crl).run()
    done = effects(revoked) if revoked else None
    waits = [] if revoked else ["ingest stores what it sends until the daemon reaches telemetry"]
    is_pending = arguments.agent in cut.pending
    if is_pending:
        waits.append(f"it may be connected to the broker: {cut.problem}")
    return AgentRevoked(
        agent=arguments.agent,
        withdrawn_at=UNSET if done is None else done.withdrawn_at,
        committed_at=UNSET if done is None else done.committed_at,
        lease_version=UNSET if done is None else done.lease_version,
        leases=UNSET if done is None else done.leases,
        crl=None if crl is None else str(crl),
        stored="no more" if revoked else "pending",
        connected="pending" if is_pending else "no more",
        next="; ".join(waits) or "nothing: it is kept out, and its connection is ended",
    )


COMMANDS: Final = (
    Command(
        name="agent enrol",
        help="Make a one-time token to enrol a gateway; with --out, a bundle with keys made here",
        details="With a token, the gateway makes its keys itself, and they never leave it.",
        example="agent enrol --valid-for 1h",
        arguments=EnrolAgent,
        result=Enrolled,
        run=_enrol,
        is_finished_by_daemon=True,
    ),
    Command(
        name="agent list",
        help="List the gateways, with lease and certificate of each",
        example="agent list --state in-service --certificate-ends-within 30d",
        arguments=ListAgents,
        result=AgentList,
        run=_list,
    ),
    Command(
        name="agent vouch",
        help="Confirm, after an inquiry, that one gateway alone uses this identity",
        details="The signs of a clone that were seen until then no longer raise an alert.",
        arguments=VouchForAgent,
        result=AgentVouchedFor,
        run=_vouch,
    ),
    Command(
        name="pki issue-agent",
        help="Issue a new certificate for a gateway",
        arguments=IssueCertificate,
        result=CertificateIssued,
        run=_issue,
    ),
    Command(
        name="pki revoke",
        help="Revoke a gateway: its data are refused, and its connection is ended",
        example="pki revoke AGENT --yes",
        arguments=RevokeAgent,
        result=AgentRevoked,
        run=_revoke,
        warning="The gateway can never be used again, and no person is measured there any more.",
        changes_leases=True,
        is_finished_by_daemon=True,
    ),
)
