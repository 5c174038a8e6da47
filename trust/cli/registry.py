"""The registry of all commands of trust."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from trust.cli.command import Command, Executable, Family, Service
from trust.cli.commands import installation, oversight
from trust.cli.commands.gateways import agents, leases
from trust.cli.commands.people import (
    decisions,
    erasure,
    exports,
    receipts,
    representatives,
    requests,
    restriction,
    search,
    sensors,
    subjects,
)
from trust.cli.commands.staff import officers, policies, pseudonyms

RUN: Final = Service(
    name="run",
    help="Run the daemon: renew and publish leases, and finish work that was cut off",
    example="run --config trust.toml",
)
SERVE: Final = Service(
    name="serve", help="Serve enrolment and renewal of certificates to gateways, over HTTPS"
)
BATCH: Final = Service(
    name="batch",
    help="Run many commands: one JSON array of arguments on each line of standard input",
    details="""\
Each line is answered by one line, a JSON object with "ok". A line that is refused does not
stop the lines after it; the exit code is 1 if any was refused.""",
    example="batch < lines.json",
)

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pki": "Certificates of broker, services and gateways",
        "policy": "Policies: what a purpose measures, for whom and how long",
        "subject": "People who are measured",
        "agent": "Gateways",
        "decision": "What people decided: consent, refusal, withdrawal",
        "sensor": "Sensors that are bound to people",
        "lease": "Leases: what gateways may measure, and until when",
        "unit": "Work of the daemon that failed, and is tried again",
        "representative": "Guardians and proxies, who decide for a person",
        "request": "What people asked for under their rights, and its due date",
        "export": "All data of a person, for that person",
        "officer": "Officers, who may ask for a name and approve",
        "reidentify": "The names behind pseudonyms",
        "pseudonym": "Epochs of pseudonyms",
        "retention": "How long data are kept",
    }
)
"""The first words of two-word commands, and the subjects of those commands."""

ENTRIES: Final[tuple[Executable | Family[Any], ...]] = (
    *installation.COMMANDS,
    RUN,
    SERVE,
    BATCH,
    *oversight.COMMANDS,
    *policies.COMMANDS,
    *subjects.COMMANDS,
    *search.COMMANDS,
    *agents.COMMANDS,
    *decisions.COMMANDS,
    *sensors.COMMANDS,
    *leases.COMMANDS,
    *receipts.COMMANDS,
    *exports.COMMANDS,
    *representatives.COMMANDS,
    *requests.COMMANDS,
    *officers.COMMANDS,
    *pseudonyms.COMMANDS,
    *erasure.COMMANDS,
    *restriction.COMMANDS,
)
"""All entries of the command line, in the order of `--help`."""


def _executables() -> dict[str, Executable]:
    found: dict[str, Executable] = {}
    for entry in ENTRIES:
        members = entry.members if isinstance(entry, Family) else (entry,)
        found |= {command.name: command for command in members}
    return found


COMMANDS: Final[Mapping[str, Executable]] = MappingProxyType(_executables())
"""All entries that can be run, by name."""

ON_VAULT: Final[Mapping[str, Command[Any, Any]]] = MappingProxyType(
    {name: one for name, one in COMMANDS.items() if isinstance(one, Command)}
)
"""The commands that `batch` accepts and a daemon can run."""
