"""Trust's metrics of the vault."""

import pytest
from prometheus_client import CollectorRegistry

from tests.fixtures.vault import Office
from trust.vault.metrics import VaultMetrics

pytestmark = pytest.mark.database


def _seen(office: Office) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(VaultMetrics(office.settings.vault))
    return registry


def test_watch_counts_people_handles_and_what_is_late(office: Office) -> None:
    """The metrics have counts and ages, and nothing that distinguishes one person from another."""
    office.load_policy()
    agent, _ = office.enrol()
    office.enrol()
    subject = office.add_subject()
    office.accept(subject, agent)
    office.withdraw(subject)
    office.vault.execute("UPDATE vault.agents SET due_at = now() - interval '1 hour'")
    office.vault.execute("UPDATE vault.certificates SET not_after = now() WHERE agent = %s", agent)
    office.vault.execute(
        "UPDATE vault.agents SET wanted = applied + 1, wanted_at = now() - interval '9 minutes'"
        " WHERE agent = %s",
        agent,
    )
    office.vault.execute(
        "INSERT INTO vault.erasures (subject, requested_at)"
        " SELECT subject, now() - interval '2 days' FROM vault.subjects"
    )
    office.vault.execute(
        "INSERT INTO vault.requests (request, subject, kind, received_at, due_at)"
        " SELECT gen_random_uuid(), subject, 'access', now(), now() - interval '1 day'"
        " FROM vault.subjects"
    )
    seen = _seen(office).get_sample_value
    assert seen("vitalveil_trust_erasures", {"state": "unfinished"}) == 1
    assert seen("vitalveil_trust_erasures", {"state": "certified"}) == 0
    assert 172_800 <= (seen("vitalveil_trust_erasure_oldest_seconds") or 0) < 172_900
    assert seen("vitalveil_trust_requests", {"state": "open"}) == 0
    assert seen("vitalveil_trust_requests", {"state": "overdue"}) == 1
    assert seen("vitalveil_trust_agents", {"state": "enrolled"}) == 2
    assert seen("vitalveil_trust_agents", {"state": "revoked"}) == 0
    assert seen("vitalveil_trust_subjects") == 1
    assert seen("vitalveil_trust_handles", {"state": "active"}) == 0
    assert seen("vitalveil_trust_handles", {"state": "ended"}) == 1
    assert seen("vitalveil_trust_overdue_leases") == 2
    assert seen("vitalveil_trust_ending_certificates") == 1
    assert 540 <= (seen("vitalveil_trust_unfinished_oldest_seconds") or 0) < 600


def test_sensors_are_not_counted_as_people(office: Office) -> None:
    """A person with three sensors counts once, and no more once all of them are unbound."""
    office.load_policy()
    agent, _ = office.enrol()
    sensors = [f"C0:FF:EE:00:00:0{n}" for n in (1, 2, 3)]
    more = [word for sensor in sensors[1:] for word in ("--binding", sensor)]
    office.accept(office.add_subject(), agent, *more, binding=sensors[0])
    assert _seen(office).get_sample_value("vitalveil_trust_handles", {"state": "active"}) == 1

    for sensor in sensors:
        office.run("sensor", "unbind", "--agent", agent, "--binding", sensor)
    assert _seen(office).get_sample_value("vitalveil_trust_handles", {"state": "active"}) == 0


def test_a_vault_that_is_away_is_absent(office: Office) -> None:
    """Metrics of an unreachable vault are absent, not outdated."""
    office.vault.execute("ALTER ROLE vv_trust NOLOGIN")
    try:
        assert _seen(office).get_sample_value("vitalveil_trust_subjects") is None
    finally:
        office.vault.execute("ALTER ROLE vv_trust LOGIN")
