"""The steps that bring each database to the schema of this software, in their folders."""

from pathlib import Path
from typing import Final

from runtime.database import migrations
from runtime.database.migrations import Migration

_ROOT: Final = Path(__file__).parent
_TELEMETRY: Final = _ROOT / "telemetry"
_VAULT: Final = _ROOT / "vault"


def telemetry(*, variant: str) -> list[Migration]:
    """
    Return the steps of the telemetry database, in order.

    Args:
        variant: `timescale` or `native`: what keeps the observations.

    Raises:
        MigrationError: The folders are not as they were delivered.
    """
    return migrations.read(_TELEMETRY, variant=variant)


def vault() -> list[Migration]:
    """
    Return the steps of the vault, in order.

    Raises:
        MigrationError: The folder is not as it was delivered.
    """
    return migrations.read(_VAULT)
