"""Commands: all are registered and described, with plain values that can be serialised."""

import datetime as dt
import enum
import importlib
import inspect
import pkgutil
import shlex
import types
import typing
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

import trust.cli.commands
from docs import build as docs
from trust.cli import dispatch, registry
from trust.cli.arguments import build, command_line
from trust.cli.command import Arguments, Command, Entry, Family, LocalCommand, Service
from trust.cli.commands.people.decisions import RecordDecision
from trust.cli.commands.people.requests import AddRequest
from trust.decisions.representatives import BIRTH_MONTH
from trust.errors import UsageError

TYPED = [one for one in registry.COMMANDS.values() if not isinstance(one, Service)]
INSTANT = dt.datetime(2026, 11, 30, 12, 0, 0, 123000, tzinfo=dt.UTC)
PLAIN: dict[Any, list[Any]] = {
    str: ["a", "Ada Lovelace, née Byron"],
    int: [0, 2**40],
    bool: [False, True],
    float: [0.25],
    bytes: [b"", bytes(range(256))],
    UUID: [UUID(int=7)],
    dt.datetime: [INSTANT],
    dt.timedelta: [dt.timedelta(days=90), dt.timedelta(milliseconds=1)],
    type(None): [None],
    msgspec.UnsetType: [msgspec.UNSET],
}
TEXTS = {  # Matches of the patterns that arguments have.
    r"\A[0-9a-f]{64}\Z": "ab" * 32,
    r"\A[a-z]{2,3}(-[A-Z]{2})?\Z": "fr-FR",
    rf"\A{BIRTH_MONTH}\Z": "1985-12",
}


def examples(kind: Any) -> list[Any]:
    """Return values of the type *kind*; raise TypeError if the type is not plain."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    found: list[Any] | None
    if origin is Annotated:
        metas = [one for one in kind.__metadata__ if isinstance(one, msgspec.Meta)]
        found = [TEXTS[one.pattern or ""] for one in metas] or examples(inner[0])
    elif origin in (typing.Union, types.UnionType):
        found = [value for one in inner for value in examples(one)]
    elif origin is list:
        found = [[], examples(inner[0])]
    elif origin is dict:
        keys, values = examples(inner[0]), examples(inner[1])
        found = [{}, dict(zip(keys, values, strict=False))]
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        found = list(kind)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        found = structs(kind)
    else:
        found = PLAIN.get(kind)
    if found is None:
        raise TypeError(f"{kind} is not plain")
    return found


def structs(kind: type[msgspec.Struct]) -> list[Any]:
    """Return instances of *kind* that together have each example of each field."""
    fields = {one.encode_name: examples(one.type) for one in msgspec.structs.fields(kind)}
    most = max(map(len, fields.values()), default=1)
    return [
        kind(**{name: values[n % len(values)] for name, values in fields.items()})
        for n in range(most)
    ]


@pytest.mark.parametrize("command", TYPED, ids=lambda one: one.name)
def test_arguments_and_results_survive_being_sent(command: Any) -> None:
    """Arguments and results are unchanged after encoding as JSON and as MessagePack."""
    for kind in (command.arguments, command.result):
        for one in structs(kind):
            for codec in (msgspec.json, msgspec.msgpack):
                sent = codec.encode(one)
                assert codec.decode(sent, type=kind) == one


@pytest.mark.parametrize("entry", registry.ENTRIES, ids=lambda one: one.name)
def test_every_command_and_option_has_help(entry: Entry[Any]) -> None:
    """Every command and every option has a help text."""
    members = entry.members if isinstance(entry, Family) else ()
    for one in (entry, *members):
        assert one.help
        assert not one.help.endswith(".")
        for field in msgspec.structs.fields(one.arguments):
            assert build.option_of(field).help


@pytest.mark.parametrize(
    "entry", [one for one in registry.ENTRIES if one.example], ids=lambda one: one.name
)
def test_an_example_is_a_command_line(entry: Entry[Any]) -> None:
    """The example of each command parses, with ids in place of SUBJECT, REQUEST and ID."""
    words = shlex.split(entry.example.partition(" <")[0])
    ids = {"SUBJECT", "REQUEST", "ID"}
    line = command_line.parse([str(UUID(int=7)) if one in ids else one for one in words])
    assert line.command.name == entry.name


def test_every_command_is_in_the_registry_once() -> None:
    """Every command of a module is registered once, under a unique name, in a known group."""
    found: list[Entry[Any]] = [registry.RUN, registry.SERVE, registry.BATCH]
    for module in pkgutil.walk_packages(trust.cli.commands.__path__, "trust.cli.commands."):
        for _, value in inspect.getmembers(importlib.import_module(module.name)):
            values = value if isinstance(value, tuple) else (value,)
            found += [one for one in values if isinstance(one, Entry)]
    executable = {id(one) for one in found if not isinstance(one, Family)}
    assert executable == {id(one) for one in registry.COMMANDS.values()}
    names = [entry.name for entry in registry.ENTRIES]
    assert len(names) == len(set(names))
    assert {name.split()[0] for name in names if " " in name} == set(registry.GROUPS)


def test_none_is_missing_from_the_reference() -> None:
    """The reference page has a section for each command, with its options."""
    page = docs.trust_commands()
    for entry in registry.ENTRIES:
        assert f"\n## {entry.name}\n" in page
        for field in msgspec.structs.fields(entry.arguments):
            option = build.option_of(field)
            flag = option.flag or field.name.replace("_", "-")
            assert option.is_positional or f"--{flag}" in page


def test_values_that_a_socket_brings_are_checked() -> None:
    """A time without a zone or off the calendar and an unknown field are refused when decoded."""
    subject = str(UUID(int=1))
    for changes in (
        {"received_at": {"at": "2026-11-30T12:00:00"}},
        {"received_at": {"at": "9500-01-01T00:00:00Z"}},
        {"kind": "Ada"},
        {"Ada": 1},
    ):
        sent = {"subject": subject, "kind": "access", "received_at": {"at": None}, **changes}
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(sent), type=AddRequest)


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_to": "9500-01-01T00:00:00Z"},
        {"valid_to": "1960-01-01T00:00:00Z"},
        {"valid_to": "2026-11-30T12:00:00"},
        {"valid_for": "P40000D"},
        {"valid_for": "-P1D"},
        {"text_sha256": "Ada"},
        {"locale": "fr-FR\n"},
    ],
)
def test_no_time_is_off_the_calendar_and_no_text_off_its_pattern(changes: dict[str, str]) -> None:
    """Values that the command line refuses are also refused when decoded."""
    sent = {"subject": str(UUID(int=1)), "purpose": "p@1", **changes}
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=RecordDecision)


def test_arguments_show_no_value() -> None:
    """
    The repr of arguments and results shows only their type, because they may hold a name
    or a key.
    """
    for command in TYPED:
        for one in structs(command.arguments):
            assert repr(one) == f"{type(one).__name__}(…)"


def test_a_destructive_command_asks_or_wants_yes() -> None:
    """
    Without --yes and without a terminal a destructive command is not run, nor after a refusal at
    the terminal.
    """
    command = registry.ON_VAULT["pki revoke"]
    ran: list[Arguments] = []
    harmless = msgspec.structs.replace(command, run=lambda _, given: ran.append(given))
    line = command_line.parse(["pki", "revoke", "a"])
    app: Any = None
    assert command.is_destructive
    with pytest.raises(UsageError, match="Give --yes"):
        dispatch.execute(app, harmless, line)
    with pytest.raises(UsageError, match="nothing was done"):
        dispatch.execute(app, harmless, line, ask=lambda _: False)
    assert ran == []


def test_what_destroys_and_what_changes_leases_is_known() -> None:
    """
    The lists of destructive and of lease-changing commands are fixed, so that a change of them is
    deliberate.
    """
    on_vault = registry.ON_VAULT.values()
    assert {one.name for one in on_vault if one.is_destructive} == {
        "erase", "export purge", "lease supersede", "pki revoke", "pseudonym destroy",
    }  # fmt: skip
    assert {one.name for one in on_vault if one.changes_leases} == {
        "decision record", "decision withdraw", "lease publish", "pki revoke", "restrict",
        "sensor bind", "sensor replace", "sensor unbind", "unrestrict",
    }  # fmt: skip
    assert {one.name for one in on_vault if one.is_finished_by_daemon} == {
        "agent enrol", "decision record", "decision withdraw", "pki revoke", "sensor bind",
        "sensor replace", "sensor unbind",
    }  # fmt: skip
    local = {one.name for one in registry.COMMANDS.values() if isinstance(one, LocalCommand)}
    assert local == {"export open", "officer key", "verify"}
    assert all(isinstance(one, Command) for one in on_vault)
