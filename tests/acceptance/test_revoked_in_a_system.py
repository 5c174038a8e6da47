"""A revoked gateway in a system as it is shipped: trust writes the list, the broker reads it."""

import pytest

from simulators.stack.system import system
from tests.fixtures.database import programs
from tests.fixtures.system import begin

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


def test_a_revoked_gateway_is_cut_off_at_once() -> None:
    """The command says that the broker keeps the gateway out, not that this is still to come."""
    with system(programs=programs()) as whole:
        begin(whole)
        with whole.trust_shell() as shell:
            gateway = whole.enrol(shell)
            whole.start_agent(gateway)
            reply = shell.run("pki", "revoke", gateway.agent, "--yes")
        assert reply["connected"] == "no more"
