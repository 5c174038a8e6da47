"""Checks that each lease fits into the largest packet of trust and of the broker."""

from collections.abc import Iterable
from typing import Final

import psycopg

from trust.cli.settings_check import too_large
from trust.decisions.leases import sealed_packet_bytes
from vitalveil.doctor.finding import Finding, note, sound, wrong

_CODE: Final = "trust-lease-size"
_LARGEST: Final = """
SELECT agent, octet_length(lease) + %s FROM vault.agents
WHERE lease IS NOT NULL AND revoked_at IS NULL ORDER BY 2 DESC, 1 LIMIT 1000
"""


def look(
    connection: psycopg.Connection, *, most: int, broker_takes: int | None
) -> Iterable[Finding]:
    """
    Compare the sizes of the leases in the vault with the limits.

    Args:
        connection: A connection to the vault.

        most: `lease.max_packet_bytes` of trust.

        broker_takes: `max_packet_size` of the broker; None if it is not known.
    """
    rows = connection.execute(_LARGEST, [sealed_packet_bytes(0)]).fetchall()
    yield judge([(str(agent), int(size)) for agent, size in rows], most=most)
    if broker_takes is not None and 0 < broker_takes < most:
        yield wrong(
            "broker-lease-size",
            f"the broker accepts packets of {broker_takes} bytes, but lease.max_packet_bytes is"
            f" {most}: trust issues larger leases that never reach their gateways",
            f"Set max_packet_size of the broker to {most} or more, or lease.max_packet_bytes to"
            f" {broker_takes}.",
        )


def judge(leases: list[tuple[str, int]], *, most: int) -> Finding:
    """Judge *leases*: pairs of gateway and packet size in bytes, the largest first."""
    larger = [one for one in leases if one[1] > most]
    if larger:
        error = too_large(larger, most)
        return wrong(_CODE, error.problem, error.remedy)
    if leases and leases[0][1] > 0.8 * most:
        agent, size = leases[0]
        return note(
            _CODE,
            f"the lease of gateway {agent} has {size} bytes of at most {most}: with a few more"
            " people it cannot be issued any more",
            "Raise max_packet_size of the broker and lease.max_packet_bytes of trust together.",
        )
    return sound(_CODE, f"all leases fit into {most} bytes")
