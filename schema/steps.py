"""The migrations of each database, from the folders of this package."""

import functools
from pathlib import Path
from typing import Final

from runtime.database import migrations
from runtime.database.migrations import Migration

_ROOT: Final = Path(__file__).parent
_TELEMETRY: Final = _ROOT / "telemetry"
_VAULT: Final = _ROOT / "vault"


def telemetry(*, variant: str) -> list[Migration]:
    """
    Return the migrations of the telemetry database, in order.

    Args:
        variant: `timescale` for hypertables, or `native` for PostgreSQL's partitions.

    Raises:
        MigrationError: A file of the package is missing or has a wrong name.
    """
    return migrations.read(_TELEMETRY, variant=variant)


@functools.cache
def telemetry_numbers() -> frozenset[int]:
    """
    Return the numbers of the migrations of the telemetry database; both variants have the same.

    Raises:
        MigrationError: A file of the package is missing or has a wrong name.
    """
    return frozenset(step.number for step in telemetry(variant="native"))


@functools.cache
def vault_numbers() -> frozenset[int]:
    """
    Return the numbers of the migrations of the vault.

    Raises:
        MigrationError: A file of the package is missing or has a wrong name.
    """
    return frozenset(step.number for step in vault())


def vault() -> list[Migration]:
    """
    Return the migrations of the vault, in order.

    Raises:
        MigrationError: A file of the package is missing or has a wrong name.
    """
    return migrations.read(_VAULT)
