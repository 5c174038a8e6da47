"""
Erase everything on this gateway that concerns a person.

The keys go first: without the lease key, no tag and no lease can be linked to a person, even if a
worn flash card still holds a copy of the files. Envelopes are sealed for ingest and cannot be read
here in any case. Then each file in the state folder is overwritten and removed. Only public files
remain: the CA's certificate, the public keys of trust and ingest, and the configuration.
"""

from pathlib import Path

from edge_agent.config import AgentSettings
from edge_agent.enrolment.credentials import unfinished
from edge_agent.errors import SpoolError
from edge_agent.spool import database_file, lock
from runtime.logs import describe


def erase(settings: AgentSettings, *, keep_identity: bool = False) -> int:
    """
    Erase keys and state; return the number of erased files.

    Args:
        settings: They name the files.

        keep_identity: Keep the TLS key and certificate, for a gateway that is used again.

    Raises:
        StateInUse: An agent is running here. Nothing was erased.
        SpoolError: A file cannot be erased. The files before it are erased.
    """
    with lock.hold(settings.state_dir):
        keys = [settings.keys.lease_file]
        if not keep_identity:
            keys += [settings.broker.tls.key_file, settings.broker.tls.certificate_file]
        state = [
            path
            for path in sorted(settings.state_dir.rglob("*"))
            if path.is_file() and path.name != lock.NAME
        ]
        # A crash may have left a copy of a key that was being made or renewed.
        keys += [path for key in keys for path in unfinished(key)]
        found = [path for path in [*keys, *state] if path.exists()]
        for path in found:
            _erase(path)
        for folder in {path.parent for path in found}:
            database_file.sync_folder(folder)
    return len(found)


def _erase(path: Path) -> None:
    try:
        database_file.erase(path)
    except OSError as exc:
        raise SpoolError(f"be erased: {path}: {describe(exc)}") from None
