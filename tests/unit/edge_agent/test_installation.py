"""
The packages that `pip install 'vitalveil[edge]'` brings to a gateway, derived from the metadata
here.
"""

import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fakes.edge_agent import agent_environ

_NEVER = {"numpy", "psycopg", "psycopg-binary", "bumble", "uvloop", "mqtt5", "litestar", "pyarrow"}
_PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))
import edge_agent.app, edge_agent.cli, edge_agent.enrolment.enrol, edge_agent.doctor.checks
import edge_agent.bluetooth.cli, edge_agent.bluetooth.sensors, bleak.backends.bluezdbus.client
"""


def closure(name: str, *extras: str) -> set[str]:
    """Return every distribution that *name* with *extras* needs on this platform."""
    found: set[str] = set()
    waiting = [(canonicalize_name(name), frozenset(extras))]
    seen = set(waiting)
    while waiting:
        current, wanted = waiting.pop()
        found.add(current)
        for line in distribution(current).requires or []:
            requirement = Requirement(line)
            environments = [{"extra": extra} for extra in sorted(wanted) or [""]]
            marker = requirement.marker
            if marker is not None and not any(map(marker.evaluate, environments)):
                continue
            step = canonicalize_name(requirement.name), frozenset(requirement.extras)
            if step not in seen:
                seen.add(step)
                waiting.append(step)
    return found


def tags(name: str) -> list[str]:
    """Return the platforms of the wheel from which *name* was installed."""
    text = distribution(name).read_text("WHEEL") or ""
    lines = [line for line in text.splitlines() if line.startswith("Tag: ")]
    return [line.removeprefix("Tag: ") for line in lines]


def test_edge_brings_nothing_of_the_server() -> None:
    """
    The extra `edge` brings neither numpy nor psycopg nor any other package of servers and
    simulators.
    """
    brought = closure("vitalveil", "edge")
    assert brought >= {"vitalveil", "bleak", "aiomqtt", "cryptography", "msgspec"}
    assert brought & _NEVER == set()
    assert closure("vitalveil", "ingest") & {"numpy", "psycopg"} == {"numpy", "psycopg"}


def test_edge_needs_no_compiler() -> None:
    """Every package with compiled code comes as a wheel."""
    for name in closure("vitalveil", "edge") - {"vitalveil"}:
        made_for = tags(name)
        assert made_for, f"{name} was not installed from a wheel"
        is_pure = all(tag.endswith("-none-any") for tag in made_for)
        assert is_pure or all("manylinux" in tag or "musllinux" in tag for tag in made_for), name


def test_agent_imports_nothing_else() -> None:
    """An agent with a radio imports only packages of the extra and Python's own."""
    brought = closure("vitalveil", "edge")
    # What the extra does not bring cannot be imported: some libraries do without it.
    others = [
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & brought
    ]
    assert "numpy" in others
    subprocess.run([sys.executable, "-c", _PROGRAM, *others], env=agent_environ(), check=True)
