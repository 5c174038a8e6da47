"""
Erases what this gateway holds of anybody, so that nothing is left to read.

First the keys: with the lease key gone nobody can tell whose tags and leases these were, whatever
a worn disk still keeps of the files themselves. Envelopes were sealed to ingest and could not be
read here before either. Then everything in the folder, overwritten where it lies. What remains is
public: the CA's certificate, the public keys of trust and ingest, the configuration.
"""

from pathlib import Path

from edge_agent.config import AgentSettings
from edge_agent.enrolment.credentials import unfinished
from edge_agent.errors import SpoolError
from edge_agent.spool import database_file, lock


def erase(settings: AgentSettings, *, keep_identity: bool = False) -> int:
    """
    Erase keys and state; return how many files that were.

    Args:
        settings: Where they are.

        keep_identity: Leave the TLS key and its certificate, for a gateway that moves on.

    Raises:
        StateInUse: An agent runs here. Nothing was erased.
        SpoolError: A file resists; those before it are gone.
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
        # What a crash left of a key that was being made or renewed is a key too.
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
        raise SpoolError(f"be erased ({type(exc).__name__}): {path}") from None
