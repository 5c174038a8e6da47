"""
The conditions under which trust starts: what it needs, whether it is there, what to do if not.

| condition | looked at by | if it is not met |
|---|---|---|
| settings, key files and their modes | `FileKeys`, `check-config`, doctor | exit, name the file |
| the vault answers and admits `vv_trust` | `unmet`, doctor | wait |
| the vault has the schema of this software | `unmet`, doctor | wait: `vitalveil trust migrate` |
| the telemetry database answers | `unmet`, doctor | go on: leases are renewed without it |
| it has the schema of this software | `unmet`, doctor | wait if it has none; else go on |
| the broker admits `trust` and its rules allow leases | `MqttBroker`, doctor | go on, try again |

A daemon that waits has one connection to each database, no broker, and a line of log a minute.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from runtime.database.schema_state import SchemaState
from runtime.logs import Log
from schema import steps
from trust.config import Settings
from trust.errors import TelemetryUnavailable, Unavailable, VaultUnavailable
from trust.vault.database import DatabaseLink

_LOOK_S: Final = 1.0
_LONGEST_S: Final = 15.0
_LOG_EVERY_S: Final = 60.0
_log: Final = Log("trust.startup")


class Condition(msgspec.Struct, frozen=True):
    """
    A condition that is not met.

    Args:
        what: `vault` or `telemetry`.

        why: The cause, with the remedy.

        is_blocking: Whether trust cannot do any work without it.
    """

    what: str
    why: str
    is_blocking: bool


class Databases:
    """
    The connections over which the conditions are looked at, one to each database.

    Args:
        settings: Where the databases are.
    """

    def __init__(self, settings: Settings) -> None:
        self._vault = DatabaseLink(settings.vault, section="vault", error=VaultUnavailable)
        self._telemetry = DatabaseLink(
            settings.telemetry, section="telemetry", error=TelemetryUnavailable
        )

    def unmet(self) -> Iterator[Condition]:
        """Yield each condition that is not met now."""
        try:
            status = self._vault.schema(steps.vault_numbers())
        except Unavailable as exc:
            yield Condition("vault", str(exc), is_blocking=True)
        else:
            if cause := status.cause(command="vitalveil trust migrate"):
                yield Condition("vault", f"the vault: {cause}", is_blocking=status.must_wait)
        try:
            status = self._telemetry.schema(steps.telemetry_numbers())
        except Unavailable as exc:
            yield Condition("telemetry", str(exc), is_blocking=False)
        else:
            if cause := status.cause(command="vitalveil ingest migrate"):
                is_empty = status.state is SchemaState.MISSING
                yield Condition("telemetry", f"telemetry: {cause}", is_blocking=is_empty)

    def close(self) -> None:
        """Close both connections."""
        self._vault.close()
        self._telemetry.close()


async def wait(
    settings: Settings, stop: asyncio.Event, *, count: Callable[[str], None] = lambda what: None
) -> bool:
    """
    Wait until trust can work; return whether it can: False if *stop* was set before.

    Each condition is logged when it appears, and once a minute as long as it is not met.

    Args:
        settings: Where the databases are.

        stop: Ends the waiting.

        count: Called with `vault` or `telemetry` each time that it keeps trust waiting.

    Raises:
        ConfigError: A connection string or a password file is wrong.
    """
    databases = Databases(settings)
    told: dict[Condition, float] = {}
    pause_s = _LOOK_S
    try:
        while not stop.is_set():
            found = await asyncio.to_thread(lambda: list(databases.unmet()))
            told = _tell(found, told)
            blocking = [one for one in found if one.is_blocking]
            if not blocking:
                return True
            for one in blocking:
                count(one.what)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
            pause_s = min(1.5 * pause_s, _LONGEST_S)
        return False
    finally:
        databases.close()


def _tell(found: Sequence[Condition], told: dict[Condition, float]) -> dict[Condition, float]:
    now = time.monotonic()
    kept = {one: told[one] for one in found if one in told and now - told[one] < _LOG_EVERY_S}
    for one in found:
        if one not in kept:
            kept[one] = now
            action = "waiting" if one.is_blocking else "not_as_expected"
            _log.warning(action, what=one.what, why=one.why)
    return kept
