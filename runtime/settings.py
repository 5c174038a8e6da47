"""
Settings: one frozen struct for each program, read once from TOML and the environment.

Each option is a TOML key and an environment variable: `broker.host` of ingest is also
`VITALVEIL_INGEST_BROKER_HOST`. The environment takes precedence. Unknown keys and variables are
refused, so that a typing mistake never silently leaves a default. Secrets come only from files.
"""

import difflib
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from runtime.errors import ConfigError, unusable

T = TypeVar("T", bound=msgspec.Struct)

Port = Annotated[int, Meta(ge=1, le=65535)]
ListenPort = Annotated[int, Meta(ge=0, le=65535, description="0 picks a free port.")]
PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of mutual TLS."""

    ca_file: Path
    certificate_file: Path
    key_file: Path


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of the MQTT 5 broker, and the certificate for it."""

    tls: TlsSettings
    host: str = "127.0.0.1"
    port: Port = 8883
    keep_alive_s: Annotated[int, Meta(ge=5, le=3600)] = 30


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address on which /metrics, /livez and /readyz are served; loopback by default."""

    host: str = "127.0.0.1"
    port: ListenPort = 0


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is logged. The log is one JSON object on each line, on standard error."""

    level: typing.Literal["debug", "info", "warning", "error"] = "info"


class _Leaf(msgspec.Struct, frozen=True):
    key: str
    type: Any
    required: bool


def load(kind: type[T], *, program: str, path: Path | None, environ: Mapping[str, str]) -> T:
    """
    Return the settings of *program*.

    Args:
        kind: Type of the settings; its fields are values or nested structs, the sections.

        program: `agent`, `ingest` or `trust`: the middle of the prefix of the variables.

        path: A TOML file, or None to read only the environment.

        environ: The environment.

    Raises:
        ConfigError: A key is missing, unknown or wrong, or the file cannot be read.
    """
    leaves = {leaf.key: leaf for leaf in _leaves(kind)}
    prefix = f"VITALVEIL_{program.upper()}_"
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if path is not None:
        for key, value in _flatten(_read(path), leaves):
            if key not in leaves:
                raise ConfigError(
                    key=key,
                    source=str(path),
                    problem="this setting does not exist",
                    remedy=_suggest(key, leaves),
                )
            values[key] = _convert(value, leaves[key], source=str(path), strict=True)
            sources[key] = str(path)
    twins = {prefix + key.replace(".", "_").upper(): key for key in leaves}
    for name in sorted(environ):
        if not name.startswith(prefix):
            continue
        if name not in twins:
            raise ConfigError(
                key=name,
                source="the environment",
                problem="this setting does not exist",
                remedy=f"Unset it, or use {_nearest(name, twins)}.",
            )
        key = twins[name]
        values[key] = _convert(environ[name], leaves[key], source=f"${name}", strict=False)
        sources[key] = f"${name}"
    for leaf in leaves.values():
        if leaf.required and leaf.key not in values and _section_is_wanted(kind, leaf.key, values):
            raise ConfigError(
                key=leaf.key,
                source=str(path) if path else "the environment",
                problem="the setting is missing",
                remedy=f"Set it in the file, or as {prefix}{leaf.key.replace('.', '_').upper()}.",
            )
    return _build(kind, values, sources)


def environment_names(kind: type[msgspec.Struct], *, program: str) -> dict[str, str]:
    """Return the environment variable of each key of *kind*, for the reference pages."""
    prefix = f"VITALVEIL_{program.upper()}_"
    return {leaf.key: prefix + leaf.key.replace(".", "_").upper() for leaf in _leaves(kind)}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise unusable(path, exc, key="--config") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        # The message gives line and column, and at most the offending character.
        raise ConfigError(
            key="--config",
            source=str(path),
            problem=f"the file is not valid TOML: {exc}",
            remedy="Correct that line.",
        ) from None


def _struct_of(annotation: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """Return the struct of the section that *annotation* names, and whether it may be None."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation, False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        arguments = typing.get_args(annotation)
        for argument in arguments:
            if isinstance(argument, type) and issubclass(argument, msgspec.Struct):
                return argument, type(None) in arguments
    return None, False


def _leaves(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[_Leaf]:
    for field in msgspec.structs.fields(kind):
        section, _ = _struct_of(field.type)
        if section is not None:
            yield from _leaves(section, f"{prefix}{field.name}.")
        else:
            yield _Leaf(prefix + field.name, field.type, field.required)


def _section_is_wanted(
    kind: type[msgspec.Struct], key: str, values: Mapping[str, Any], prefix: str = ""
) -> bool:
    """Return whether the section of *key* is needed: it is required, or a key of it is set."""
    head, _, rest = key.partition(".")
    if not rest:
        return True
    field = next(f for f in msgspec.structs.fields(kind) if f.name == head)
    section, _ = _struct_of(field.type)
    is_set = any(other.startswith(f"{prefix}{head}.") for other in values)
    if section is None or not (field.required or is_set):
        return False
    return _section_is_wanted(section, rest, values, f"{prefix}{head}.")


def _flatten(
    table: Mapping[str, Any], leaves: Mapping[str, _Leaf], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and key not in leaves:
            yield from _flatten(value, leaves, f"{key}.")
        else:
            yield key, value


def _convert(value: Any, leaf: _Leaf, *, source: str, strict: bool) -> Any:
    try:
        return msgspec.convert(value, leaf.type, strict=strict, dec_hook=_decode_path)
    except msgspec.ValidationError as exc:
        raise ConfigError(
            key=leaf.key, source=source, problem=_problem(exc), remedy=_remedy(leaf)
        ) from None


def _problem(exc: msgspec.ValidationError) -> str:
    # Some messages of msgspec quote the value, which may be a secret in the wrong place.
    text = str(exc)
    return text if text.startswith("Expected ") else "the value is not one of those allowed"


def _remedy(leaf: _Leaf) -> str:
    if typing.get_origin(leaf.type) is typing.Literal:
        return f"Use one of: {', '.join(map(str, typing.get_args(leaf.type)))}."
    return "Set a value of the expected type."


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise msgspec.ValidationError("Expected a path")


def _build(
    kind: type[T], values: Mapping[str, Any], sources: Mapping[str, str], prefix: str = ""
) -> T:
    arguments: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        key = prefix + field.name
        section, _ = _struct_of(field.type)
        if section is None:
            if key in values:
                arguments[field.name] = values[key]
        elif field.required or any(other.startswith(f"{key}.") for other in values):
            arguments[field.name] = _build(section, values, sources, f"{key}.")
    try:
        return kind(**arguments)
    except ValueError as exc:
        section_name = prefix.rstrip(".") or "settings"
        where = {source for key, source in sources.items() if key.startswith(prefix)}
        raise ConfigError(
            key=section_name,
            source=", ".join(sorted(where)) or "defaults",
            problem=str(exc),
            remedy="Change the named settings.",
        ) from None


def _suggest(key: str, leaves: Mapping[str, _Leaf]) -> str:
    parent = key.rpartition(".")[0]
    near = [other for other in leaves if other.rpartition(".")[0] == parent] or list(leaves)
    return f"Remove it, or use {_nearest(key, near)}."


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return those of *known* that resemble *name*, as a phrase."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return " or ".join(near) if near else f"one of: {', '.join(sorted(known))}"
