"""What each command does: parsed arguments in, what is printed out."""

import argparse
import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from runtime.tls import client_context
from trust.cli import settings_check
from trust.cli.commands import audit, decisions, erasure, officers, policies, rights, units
from trust.cli.commands.decisions import done, instant
from trust.composition import App, now
from trust.config import DatabaseSettings, Settings
from trust.decisions.leases import version_by_time
from trust.decisions.representatives import check_born
from trust.domain.subjects import PersonalDetails
from trust.enrolment.authority import Authority
from trust.enrolment.bulk_enrolment import MAX_AGENTS
from trust.errors import NotFound, Refused, UsageError
from trust.keys import file_keys, files
from trust.keys.file_keys import FileKeys
from trust.vault import schema
from trust.vault.database import parameters

Result = dict[str, Any]
_SHORTEST_TOKEN: Final = dt.timedelta(minutes=1)
_LONGEST_TOKEN: Final = dt.timedelta(days=7)
_PAGE: Final = 1000


def init(settings: Settings) -> Result:
    """Make the keys."""
    made = file_keys.create(settings.keys.folder)
    return {"folder": str(settings.keys.folder), "files": [path.name for path in made]}


def pki_init(settings: Settings, arguments: argparse.Namespace) -> Result:
    """Make the CA, and the certificates of broker and services."""
    authority = Authority(settings.keys.folder, settings.certificates)
    authority.create(now=now())
    hosts = arguments.broker_host or ["localhost", "127.0.0.1"]
    authority.issue_services(arguments.out, hosts=hosts, now=now())
    return {"folder": str(arguments.out)}


def migrate(_settings: Settings, arguments: argparse.Namespace) -> Result:
    """Create or update the vault's schema."""
    where = DatabaseSettings(arguments.dsn, arguments.password_file)
    password = None
    if arguments.role_password is not None:
        role, _, path = arguments.role_password.partition("=")
        if role != "vv_trust" or not path:
            raise UsageError("write it as --role-password vv_trust=FILE")
        password = files.read(Path(path)).decode().strip()
    return {"applied": schema.migrate(where, role_password=password)}


def check_config(settings: Settings, _arguments: argparse.Namespace) -> Result:
    """See that every file that the settings name can be used."""
    parameters(settings.vault, section="vault")
    parameters(settings.telemetry, section="telemetry")
    keys_ = FileKeys(settings.keys.folder)
    if settings.broker is not None:
        client_context(settings.broker.tls, section="broker.tls")
    settings_check.check_folders(settings)
    return {"config": "usable", "leases": settings_check.check_leases(settings, keys_)}


def _subject_add(app: App, arguments: argparse.Namespace) -> Result:
    if arguments.born is not None:
        check_born(arguments.born, at=now())
    identity = PersonalDetails(rights.name_of(arguments), arguments.born)
    subject = uuid.uuid4()
    with app.vault.transaction() as records:
        records.subjects.add(subject, identity)
    return {"subject": str(subject)}


def _agent_enrol(app: App, arguments: argparse.Namespace) -> Result:
    if arguments.out is None:
        if arguments.count is not None:
            raise Refused("--count makes bundles, and each gateway takes one token: give --out")
        return _agent_token(app, arguments)
    if arguments.ingest_key is None:
        raise Refused("a bundle holds ingest's public key: give --ingest-key")
    if arguments.count is not None:
        return _agents_enrol(app, arguments)
    agent = app.enrolment.enrol(
        ingest_key=arguments.ingest_key,
        out=arguments.out,
        sealed=arguments.format == "sealed",
    )
    return {"agent": agent, "folder": str(arguments.out)}


def _agents_enrol(app: App, arguments: argparse.Namespace) -> Result:
    if not 1 <= arguments.count <= MAX_AGENTS:
        raise Refused(f"--count is from 1 to {MAX_AGENTS}")
    enrolled = app.bulk_enrolment.enrol(
        arguments.count,
        ingest_key=arguments.ingest_key,
        out=arguments.out,
        sealed=arguments.format == "sealed",
    )
    return {"agents": enrolled, "folder": str(arguments.out)}


def _agent_token(app: App, arguments: argparse.Namespace) -> Result:
    if not _SHORTEST_TOKEN <= arguments.valid_for <= _LONGEST_TOKEN:
        raise Refused("--valid-for is from a minute to a week")
    token, expires_at = app.enrolment_service.issue_token(
        valid_for=arguments.valid_for, sealed=arguments.format == "sealed"
    )
    return {
        "token": token.format(),
        "expires_at": instant(expires_at),
        "next": "on the gateway: vitalveil agent enrol --token - --url https://HOST:8443"
        " --ca ca.crt --out DIR",
    }


def _agent_list(app: App, _arguments: argparse.Namespace) -> Result:
    rows: list[Result] = []
    after = ""
    while True:
        with app.vault.transaction() as records:
            page = records.agents.page(after=after, limit=_PAGE)
        rows += [
            {
                "agent": agent,
                "format": kind,
                "enrolled_at": instant(enrolled_at),
                "revoked_at": instant(revoked_at),
                "lease": version or None,
                "lease_ends_at": instant(lease_ends_at),
                "certificate_ends_at": instant(rest[0]),
                "signs_of_a_clone": rest[1],
                "may_be_connected": rest[2],
            }
            for agent, kind, enrolled_at, revoked_at, version, lease_ends_at, *rest in page
        ]
        if len(page) < _PAGE:
            return {"rows": rows}
        after = page[-1][0]


def _agent_vouch(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        signs = records.agents.vouch(arguments.agent)
    if not signs:
        raise NotFound("agent with a sign of a clone", "See `vitalveil trust agent list`.")
    return {"agent": arguments.agent, "signs": signs}


def _pki_issue_agent(app: App, arguments: argparse.Namespace) -> Result:
    app.enrolment.issue(arguments.agent, out=arguments.out)
    return {"agent": arguments.agent, "folder": str(arguments.out)}


def _pki_revoke(app: App, arguments: argparse.Namespace) -> Result:
    crl = arguments.crl or app.settings.certificates.crl_file
    revoked = app.enrolment.revoke(arguments.agent)
    cut = app.cutoff(crl=crl).run()
    waits = [] if revoked else ["ingest stores what it sends until the daemon reaches telemetry"]
    if arguments.agent in cut.pending:
        waits.append(f"it may be connected to the broker: {cut.problem}")
    return {
        "agent": arguments.agent,
        **(done(revoked) if revoked else {}),
        "crl": None if crl is None else str(crl),
        "stored": "no more" if revoked else "pending",
        "connected": "pending" if arguments.agent in cut.pending else "no more",
        "next": "; ".join(waits) or "nothing: it is kept out, and its connection is ended",
    }


def _lease_publish(app: App, arguments: argparse.Namespace) -> Result:
    if arguments.renew is None:
        return {}
    brought = app.reconciler.reconcile([arguments.renew], renew=True)
    if arguments.renew not in brought.versions and brought.committed_at is None:
        raise NotFound("agent", "Enrol one with `vitalveil trust agent enrol`.")
    return done(brought.check(arguments.renew))


def _lease_supersede(app: App, _arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        return {"agents": records.leases.supersede(version_by_time(now()))}


def _lease_unpad(app: App, arguments: argparse.Namespace) -> Result:
    with app.vault.transaction() as records:
        agents = records.leases.unpad(arguments.agent, valid_for=arguments.valid_for)
    if arguments.agent is not None and not agents:
        raise NotFound("agent that has leases", "See `vitalveil trust agent list`.")
    return {"agents": agents, "until": (now() + arguments.valid_for).isoformat(timespec="seconds")}


BEFORE_KEYS: Final[Mapping[str, Callable[[Settings, argparse.Namespace], Result]]] = {
    "init": lambda settings, _: init(settings),
    "pki init": pki_init,
    "migrate": migrate,
    "check-config": check_config,
}
"""Commands that need no keys, or no database."""

ON_RECORDS: Final[Mapping[str, Callable[[App, argparse.Namespace], Result]]] = {
    "subject add": _subject_add,
    "agent enrol": _agent_enrol,
    "agent list": _agent_list,
    "pki issue-agent": _pki_issue_agent,
    "agent vouch": _agent_vouch,
    "pki revoke": _pki_revoke,
    "lease publish": _lease_publish,
    "lease supersede": _lease_supersede,
    "lease unpad": _lease_unpad,
    **policies.ON_RECORDS,
    **decisions.ON_RECORDS,
    **rights.ON_RECORDS,
    **officers.ON_RECORDS,
    **erasure.ON_RECORDS,
    **audit.ON_RECORDS,
    **units.ON_RECORDS,
}
"""Commands on the vault: those that `batch` takes."""

OFFLINE: Final[Mapping[str, Callable[[argparse.Namespace], Result]]] = {
    "verify": rights.verify,
    "export open": rights.export_open,
    "officer key": officers.officer_key,
}
"""Commands that need no settings: they run anywhere."""

DESTRUCTIVE: Final[Mapping[str, str]] = {
    "pki revoke": "The agent can never be used again, and nobody is measured there any more.",
    "lease supersede": "Every gateway measures what this vault says from then on, also of people"
    " who withdrew after the backup that it was restored from, unless that was entered again.",
    "export purge": "Exports whose time is over are deleted.",
    "pseudonym destroy": "No pseudonym of that epoch can ever be given its name back.",
    **erasure.DESTRUCTIVE,
}
"""Commands that ask first, and what they do that cannot be undone."""

CHANGES_LEASES: Final = frozenset(
    {"pki revoke", "decision record", "decision withdraw", "lease publish"}
    | erasure.CHANGES_LEASES
)

FINISHED_BY_THE_DAEMON: Final = frozenset(
    {"pki revoke", "decision record", "decision withdraw", "agent enrol"}
)
"""Commands that need not be given again once the vault has what they say."""


def mend(command: str) -> str:
    """Return what to do about *command*, which a server or the network has cut off."""
    if command in FINISHED_BY_THE_DAEMON:
        return "What was recorded before stands, and `vitalveil trust run` finishes it"
    return "Give the same command again once it is back; what was done before stands"


def check_meant(
    arguments: argparse.Namespace, *, ask: Callable[[str], bool] | None = None
) -> None:
    """
    Return if what cannot be undone is meant.

    Args:
        arguments: Of the command.

        ask: Asks who sits there; None when nobody does.

    Raises:
        UsageError: It is not, or nobody said so.
    """
    what = DESTRUCTIVE.get(arguments.command)
    if what is None or arguments.yes:
        return
    if ask is None:
        raise UsageError(f"{what} Give --yes if that is meant")
    if not ask(what):
        raise UsageError("nothing was done")
