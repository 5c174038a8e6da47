"""The further checks of `trust check-config`: the folders that trust writes to, and leases."""

from pathlib import Path
from typing import Final

from runtime import files
from runtime.causes.files import of_file
from runtime.errors import ConfigError
from trust.config import Settings
from trust.errors import Unavailable
from trust.ports import Keys
from trust.vault.vault import PostgresVault

_MOST_NAMED: Final = 3


def folders(settings: Settings) -> dict[str, tuple[Path, bool]]:
    """Return the folders that trust writes to, by setting, and whether their content is public."""
    found = {"keys.folder": (settings.keys.folder, False)}
    if settings.erasure is not None and settings.erasure.ledger_file is not None:
        found["erasure.ledger_file"] = (settings.erasure.ledger_file.parent, False)
    if settings.certificates.crl_file is not None:
        found["certificates.crl_file"] = (settings.certificates.crl_file.parent, True)
    return found


def check_service(settings: Settings) -> None:
    """
    Check the files that the enrolment service of the settings uses; raise otherwise.

    Raises:
        ConfigError: A file is missing or wrong, or other users may read the key.
        KeyFileError: The public key of ingest is missing or wrong.
    """
    if settings.serve is None:
        return
    # The import is late: it takes a second, and only the enrolment service needs it.
    from trust.enrolment import https_server
    from trust.enrolment.enrolment import ingest_pem

    https_server.context(settings.serve)
    ingest_pem(settings.serve.ingest_key_file)


def check_folders(settings: Settings) -> None:
    """
    Check that trust can write to the folders of the settings; raise otherwise.

    Raises:
        ConfigError: A folder would refuse trust's files.
    """
    for key, (folder, is_public) in folders(settings).items():
        try:
            files.check_folder(folder, is_public=is_public)
        except files.UnsafePlace as exc:
            raise ConfigError(
                key=key, source="settings", problem="nothing is written there", remedy=f"{exc}."
            ) from None
        except OSError as exc:
            raise ConfigError(
                key=key,
                source="settings",
                problem=f"its folder cannot be looked at: {of_file(exc).text}",
                remedy="Make the folder, owned by trust, with mode 0700.",
            ) from None


def check_leases(settings: Settings, keys: Keys) -> str:
    """
    Return a text: every lease fits, or the vault could not be asked.

    Raises:
        ConfigError: A gateway's lease is larger than these settings permit.
    """
    most = settings.lease.max_packet_bytes
    vault = PostgresVault(settings.vault, keys)
    try:
        with vault.transaction() as records:
            larger = records.leases.larger(than_bytes=most)
    except Unavailable:
        return "not looked at: the vault is out of reach"
    finally:
        vault.close()
    if larger:
        raise too_large(larger, most)
    return f"each fits into {most} bytes"


def too_large(larger: list[tuple[str, int]], most: int) -> ConfigError:
    """Return the error text for gateways with *larger* leases, the largest first."""
    named = ", ".join(agent for agent, _ in larger[:_MOST_NAMED])
    some = named + (" ..." if len(larger) > _MOST_NAMED else "")
    needed = 1 << (larger[0][1] - 1).bit_length()
    return ConfigError(
        key="lease.max_packet_bytes",
        source="settings",
        problem=f"{len(larger)} gateways have leases of more than {most} bytes, which are not"
        f" renewed: {some}",
        remedy=f"Set lease.max_packet_bytes to {needed}, and max_packet_size of the broker to as"
        " much or more; or measure some of their people at other gateways.",
    )
