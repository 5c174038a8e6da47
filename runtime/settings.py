"""
Settings: one frozen struct for each program, read once from TOML and the environment.

Each option is a TOML key and an environment variable: `broker.host` of ingest is also
`VITALVEIL_INGEST_BROKER_HOST`. The environment takes precedence. Unknown keys and variables are
refused, so that a typing mistake never silently leaves a default. Secrets come only from files.
"""

import ast
import difflib
import inspect
import itertools
import re
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from runtime.errors import ConfigError, unusable

T = TypeVar("T", bound=msgspec.Struct)

Port = Annotated[int, Meta(ge=1, le=65535)]
ListenPort = Annotated[int, Meta(ge=0, le=65535, description="0 picks a free port.")]
_EXAMPLE: Final = re.compile(r"\bas `([^`]+)`")
_UNITS: Final = {
    "per_s": "1/s",
    "per_minute": "1/min",
    "_s": "s",
    "_bytes": "bytes",
    "_days": "days",
    ".port": "TCP port",
}
"""The unit of a number by the end of its key. Others have it in `Meta(extra={"unit": ...})`."""

PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of mutual TLS."""

    ca_file: Path
    """The certificate of the authority, in PEM, as `/etc/vitalveil/ca.crt`."""
    certificate_file: Path
    """The certificate of this program, in PEM, as `/etc/vitalveil/client.crt`."""
    key_file: Path
    """The private key of it, readable by this program alone, as `/etc/vitalveil/client.key`."""


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of the MQTT 5 broker, and the certificate for it."""

    tls: TlsSettings
    host: str = "127.0.0.1"
    """The name or address of the broker, as its certificate has it."""
    port: Port = 8883
    """The TCP port of the broker."""
    keep_alive_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    """How often a silent connection is probed."""


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address on which /metrics, /livez and /readyz are served; loopback by default."""

    host: str = "127.0.0.1"
    """The address to listen on; another than loopback shows metrics to the network."""
    port: ListenPort = 0
    """The TCP port to listen on; 0 picks a free one."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is logged. The log is one JSON object on each line, on standard error."""

    level: typing.Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""


class Setting(msgspec.Struct, frozen=True):
    """A setting as the reference pages describe it."""

    key: str
    environment: str
    description: str
    """The text below the field in the source."""
    unit: str
    """The unit of a number; empty for what is no number."""
    permitted: str
    """The range of a number, or the values; empty for any."""
    example: str
    is_required: bool
    optional_section: str
    """The optional section that the setting is in; empty if it is in none."""
    default: str
    """Empty if there is none."""


class _Leaf(msgspec.Struct, frozen=True):
    key: str
    type: Any
    required: bool
    section: type[msgspec.Struct]
    """The struct that has the field."""
    optional_section: str

    @property
    def field(self) -> msgspec.structs.FieldInfo:
        name = self.key.rpartition(".")[2]
        return next(one for one in msgspec.structs.fields(self.section) if one.name == name)


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
                remedy=f"Set it in the file, or as {prefix}{leaf.key.replace('.', '_').upper()}."
                f" It is: {_description(leaf)}",
            )
    return _build(kind, values, sources)


def environment_names(kind: type[msgspec.Struct], *, program: str) -> dict[str, str]:
    """Return the environment variable of each key of *kind*."""
    return {one.key: one.environment for one in described(kind, program=program)}


def described(kind: type[msgspec.Struct], *, program: str) -> list[Setting]:
    """Return every setting of *kind*, for the reference pages."""
    prefix = f"VITALVEIL_{program.upper()}_"
    return [_described(leaf, prefix) for leaf in _leaves(kind)]


def _described(leaf: _Leaf, prefix: str) -> Setting:
    description = _description(leaf)
    default = "" if leaf.required else _text(_default(leaf.field))
    shown = _EXAMPLE.search(description)
    return Setting(
        key=leaf.key,
        environment=prefix + leaf.key.replace(".", "_").upper(),
        description=description,
        unit=_unit(leaf),
        permitted=_permitted(leaf.type),
        example=default if shown is None else shown.group(1),
        is_required=leaf.required,
        optional_section=leaf.optional_section,
        default=default,
    )


def _description(leaf: _Leaf) -> str:
    """Return the text below the field in the source; empty without one, or without the source."""
    try:
        source = textwrap.dedent(inspect.getsource(leaf.section))
    except OSError:
        return ""
    body = typing.cast("ast.ClassDef", ast.parse(source).body[0]).body
    name = leaf.key.rpartition(".")[2]
    for field, below in itertools.pairwise(body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=found)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if found == name:
                return " ".join(text.split())
    return ""


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _text(value: Any) -> str:
    """Return *value* as TOML has it; empty for what is unset or empty."""
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def _metas(kind: Any) -> list[Meta]:
    return [one for one in getattr(kind, "__metadata__", ()) if isinstance(one, Meta)]


def _unit(leaf: _Leaf) -> str:
    for meta in _metas(leaf.type):
        if meta.extra is not None:
            return str(meta.extra["unit"])
    kind = _plain(leaf.type)
    if kind not in (int, float):
        return ""
    near = (unit for end, unit in _UNITS.items() if leaf.key.endswith(end))
    return next(near, "number" if kind is int else "fraction")


def _plain(kind: Any) -> Any:
    """Return *kind* without its annotations."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _permitted(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{one}`" for one in typing.get_args(kind))
    words = []
    for meta in _metas(kind):
        for sign, bound in (("≥", meta.ge), (">", meta.gt), ("≤", meta.le), ("<", meta.lt)):
            if bound is not None:
                words.append(f"{sign} {bound:_}")
    return ", ".join(words)


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


def _leaves(
    kind: type[msgspec.Struct], prefix: str = "", optional_section: str = ""
) -> Iterator[_Leaf]:
    for field in msgspec.structs.fields(kind):
        section, may_be_none = _struct_of(field.type)
        if section is None:
            yield _Leaf(prefix + field.name, field.type, field.required, kind, optional_section)
            continue
        name = prefix + field.name
        around = name if may_be_none else optional_section
        yield from _leaves(section, f"{name}.", around)


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
    meaning = _description(leaf)
    return _expected(leaf) + (f" It is: {meaning}" if meaning else "")


def _expected(leaf: _Leaf) -> str:
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
