"""The permissions in memory, which several readers update."""

import msgspec
import numpy as np

from ingest.admission.last_readings import LastReadings
from ingest.admission.pair_index import NONE
from ingest.admission.permissions import (
    NO_RULE,
    REVOKED,
    SEALED,
    UNKNOWN,
    Permissions,
    agent_words,
    handle_words,
)
from tests.fakes.ingest import AGENT, HANDLE, changes, knowing, permission
from wire.quantities import Code


def series_of(permissions: Permissions, handle: bytes, quantity: int) -> int:
    """Return the series of a permission."""
    number = permissions.handles(handle_words([handle]), agent_words([AGENT]))
    assert number[0] != NONE
    row = permissions.rule_numbers(number, np.array([quantity], np.uint64))
    assert row[0] != NO_RULE
    return int(permissions.rules(row)["series"][0])


def is_known(permissions: Permissions, handle: bytes, agent: str = AGENT) -> bool:
    """Tell whether *handle* belongs to *agent*."""
    return bool(permissions.handles(handle_words([handle]), agent_words([agent]))[0] != NONE)


def standing(permissions: Permissions, agent: str) -> int:
    """Return the standing of *agent*."""
    return int(permissions.standings(agent_words([agent]))[0][0])


def window(permissions: Permissions, agent: str, version: int) -> list[int]:
    """Return from when until when a lease permits measuring."""
    found: list[int] = permissions.windows(agent_words([agent]), np.array([version], np.uint64))[
        0
    ].tolist()
    return found


def test_nothing_is_known_before_it_is_loaded() -> None:
    """Before anything was read, nothing is permitted."""
    permissions = Permissions()
    assert not permissions.is_loaded
    assert standing(permissions, AGENT) == UNKNOWN
    assert not is_known(permissions, HANDLE)
    assert len(permissions) == 0


def test_change_replaces_and_adds() -> None:
    """Changed rows are replaced or added, and others stay."""
    permissions = knowing(permission(), permission(quantity=Code.SPO2, series_id=2))
    later = [permission(series_id=9), permission(handle=b"n" * 16, series_id=3)]
    permissions.apply(changes(2, permissions=later))
    assert permissions.epoch == 2
    assert series_of(permissions, HANDLE, Code.HEART_RATE) == 9
    assert series_of(permissions, HANDLE, Code.SPO2) == 2
    assert series_of(permissions, b"n" * 16, Code.HEART_RATE) == 3
    assert len(permissions) == 3


def test_older_changes_are_known_already() -> None:
    """Two readers may apply their changes in any order."""
    permissions = knowing(permission(series_id=5), epoch=5)
    permissions.apply(changes(4, permissions=[permission(series_id=4)]))
    assert series_of(permissions, HANDLE, Code.HEART_RATE) == 5
    assert permissions.epoch == 5


def test_everything_replaces_everything() -> None:
    """A complete reading replaces everything, even with an older epoch of a restored database."""
    permissions = knowing(permission(), epoch=5)
    permissions.apply(changes(3, is_complete=True))
    assert not is_known(permissions, HANDLE)
    assert standing(permissions, AGENT) == UNKNOWN
    assert window(permissions, AGENT, 1) == [0, 0]
    assert permissions.epoch == 3


def test_revoked_agent_is_known_as_such() -> None:
    """A revoked agent is distinguished from an unknown one."""
    permissions = knowing()
    permissions.apply(changes(2, agents=[(AGENT, None)], leases=[(AGENT, 2, 1, 2)]))
    assert standing(permissions, AGENT) == REVOKED
    assert window(permissions, AGENT, 2) == [1, 2]


def test_quantity_of_a_later_version_is_not_permitted() -> None:
    """A quantity of a later version is not permitted, because it cannot be checked."""
    assert not is_known(knowing(permission(quantity=999)), HANDLE)


def test_table_grows() -> None:
    """The table grows with the number of permissions."""
    some = [permission(handle=i.to_bytes(16, "big"), series_id=i) for i in range(1, 3000)]
    permissions = knowing(*some)
    assert len(permissions) == permissions.slots == 2999
    assert series_of(permissions, (2999).to_bytes(16, "big"), Code.HEART_RATE) == 2999


def test_last_readings_keep_the_newest() -> None:
    """Each slot keeps its newest reading and its gateway, in any order of arrival."""
    last = LastReadings()
    slots = np.array([1, 5000])
    assert last.newest(slots)["time"].tolist() == [-1, -1]
    last.note(slots, np.array([30, 7]), np.array([10, 5]), np.array([-3, 4]))
    last.note(slots, np.array([20, 8]), np.array([1, 1]), np.array([9, 6]))
    assert last.newest(slots).tolist() == [(30, 10, -3), (8, 1, 6)]


def test_late_readings_are_remembered_by_interval() -> None:
    """A late reading of an interval is recognised by its interval and series."""
    last = LastReadings()
    one, interval, owner = np.array([3]), np.array([10]), np.array([77])
    last.note_late(one, np.array([25]), interval, owner)
    assert last.taken_by(one, np.array([29]), interval, owner)[0].tolist() == [True]
    assert last.taken_by(one, np.array([25]), interval, owner + 1)[0].tolist() == [True]
    assert last.taken_by(one, np.array([25]), interval, owner)[0].tolist() == [False]
    assert last.taken_by(one, np.array([30]), interval, owner + 1)[0].tolist() == [False]
    assert last.taken_by(one + 1, np.array([25]), interval, owner + 1)[0].tolist() == [False]


def test_handle_is_its_agents_alone() -> None:
    """A handle is valid only for its own agent."""
    permissions = knowing(permission())
    assert standing(permissions, AGENT) == SEALED
    assert is_known(permissions, HANDLE)
    assert not is_known(permissions, HANDLE, agent="f" * 16)


def test_recent_changes_are_remembered() -> None:
    """The changes since an epoch are returned together."""
    permissions = knowing(permission(), epoch=5)
    other = (AGENT, 3, 60_000, 1 << 50)
    permissions.apply(changes(6, permissions=[permission(is_withdrawn=True)]))
    permissions.apply(changes(9, leases=[other]))

    found = permissions.since(5)
    later = permissions.since(6)

    assert found is not None
    assert (found.epoch, found.is_complete) == (9, False)
    assert (len(found.permissions), len(found.leases), len(found.agents)) == (1, 1, 0)
    assert later is not None
    assert (len(later.permissions), len(later.leases)) == (0, 1)


def test_what_is_not_remembered_may_concern_all() -> None:
    """
    After a complete reading or too many changes, any agent may have changed; at the present epoch
    none has.
    """
    permissions = knowing(permission(), epoch=5)
    permissions.apply(changes(6, permissions=[permission(is_withdrawn=True)]))

    def is_told(epoch: int) -> bool:
        found = permissions.since(epoch)
        assert found is not None
        assert (found.epoch, found.is_complete) == (permissions.epoch, False)
        return not found.may_concern_all

    assert is_told(5)
    assert not is_told(4)
    assert permissions.since(6) is None
    assert permissions.since(7) is None
    permissions.apply(changes(7, is_complete=True))
    assert not is_told(5)
    for epoch in range(8, 600):
        permissions.apply(changes(epoch))
    assert not is_told(8)
    assert is_told(590)


def test_no_change_is_skipped_when_a_complete_reading_comes_late() -> None:
    """
    If a complete reading is older than known changes, later changes with a gap before them are
    rejected.
    """
    permissions = Permissions()
    permissions.apply(changes(8, is_complete=True, agents=[(AGENT, "sealed")]))
    revoked = changes(9, agents=[(AGENT, None)])
    permissions.apply(msgspec.structs.replace(revoked, since=8))

    permissions.apply(changes(8, is_complete=True, agents=[(AGENT, "sealed")]))
    permissions.apply(msgspec.structs.replace(changes(11), since=10))
    assert permissions.epoch == 8
    permissions.apply(msgspec.structs.replace(revoked, epoch=11, since=8))

    assert permissions.epoch == 11
    assert permissions.standings(agent_words([AGENT]))[0].tolist() == [REVOKED]
