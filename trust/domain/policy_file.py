"""
Policy files: a purpose in YAML, checked key by key.

Only this module uses PyYAML. An error names the key that is missing, unknown, duplicated or wrong,
and says what to do.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, TypeVar

import yaml
from msgspec import UNSET

from trust.domain import durations
from trust.domain.purposes import Allowed, Article6, Article9, Purpose, Retention, parse_reference
from trust.errors import PolicyError
from wire.policy import Aggregate, Rule
from wire.quantities import BY_NAME
from wire.sealing import DEFAULT_BUCKET_BYTES

E = TypeVar("E", bound=StrEnum)

MAX_FILE_BYTES: Final = 65536
USUAL_DAYS: Final = 7305
"""Twenty years: how long French hospitals keep a person's file (Code de la santé publique,
R. 1112-7). A longer retention needs a reason, which is signed with the policy."""
_SHORTEST_REASON: Final = 20
_LONGEST_REASON: Final = 2000
_LOCALE: Final = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DAY_MS: Final = 86_400_000
_KEYS: Final = {
    "purpose", "art6", "art9", "quantities", "retention", "recipients", "deny", "pad_bytes",
    "texts", "justification",
}  # fmt: skip
_ALLOWED_KEYS: Final = {"round", "min_interval", "time_rounding", "aggregate"}
_RETENTION_KEYS: Final = {"raw", "aggregates"}


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys, where YAML silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise PolicyError("file", "a key is not a word", "Write `name: value` lines.")
            if key_node.value in seen:
                raise PolicyError(str(key_node.value), "it is there twice", "Keep one of them.")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Purpose:
    """
    Return the purpose that *text*, a policy in YAML, describes.

    Raises:
        PolicyError: The text does not describe a purpose; the error names the key.
    """
    if len(text) > MAX_FILE_BYTES:
        raise PolicyError("file", f"it has more than {MAX_FILE_BYTES} characters", "Shorten it.")
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as exc:
        line = "" if exc.problem_mark is None else f", line {exc.problem_mark.line + 1}"
        raise PolicyError("file", f"not YAML{line}", "Correct that line.") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise PolicyError("file", "not YAML", "Check its characters and nesting.") from None
    return _purpose(_table("file", found, _KEYS))


def _purpose(table: Mapping[str, Any]) -> Purpose:
    reference = parse_reference(str(_required(table, "purpose")))
    if reference is None:
        raise PolicyError("purpose", "not a name with a version", "Write it as home-monitoring@1.")
    name, version = reference
    deny = _names("deny", table.get("deny", []))
    quantities = _quantities(_required(table, "quantities"))
    for denied in deny:
        _check_quantity("deny", denied)
        if denied in quantities:
            raise PolicyError(
                f"quantities.{denied}", "it is allowed and denied", "Drop one of the two."
            )
    retention = _retention(_required(table, "retention"))
    justification = _justification(table.get("justification"))
    if justification is None and max(retention.raw_days, retention.aggregate_days) > USUAL_DAYS:
        raise PolicyError(
            "retention",
            f"longer than {USUAL_DAYS} days, for which a hospital's own files are kept",
            "Shorten it, or add the key justification with the reason.",
        )
    return Purpose(
        name=name,
        version=version,
        art6=_choice("art6", _required(table, "art6"), Article6),
        art9=_choice("art9", _required(table, "art9"), Article9),
        quantities=quantities,
        retention=retention,
        recipients=_recipients(table.get("recipients", [])),
        deny=deny,
        bucket_bytes=_bucket(table.get("pad_bytes", DEFAULT_BUCKET_BYTES)),
        texts=_texts(table["texts"]) if "texts" in table else UNSET,
        justification=UNSET if justification is None else justification,
    )


def _texts(value: object) -> dict[str, str]:
    table = _table("texts", value)
    for locale, digest in table.items():
        if _LOCALE.fullmatch(locale) is None:
            raise PolicyError("texts", "not a locale", "Write it as fr-FR: followed by a SHA-256.")
        if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
            raise PolicyError(
                f"texts.{locale}",
                "not a SHA-256 in small letters",
                "Take it from `sha256sum FILE`, and put it in quotation marks.",
            )
    if not table:
        raise PolicyError("texts", "it is empty", "Name a text, or drop the key.")
    return dict(table)


def _justification(value: object) -> str | None:
    if value is None:
        return None
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not _SHORTEST_REASON <= len(text) <= _LONGEST_REASON:
        raise PolicyError(
            "justification",
            f"not a text of {_SHORTEST_REASON} to {_LONGEST_REASON} characters",
            "Say which law or which need asks for it.",
        )
    return text


def _table(key: str, value: object, known: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise PolicyError(key, "not a table of named values", "Write `name: value` lines.")
    for name in value:
        if known is not None and name not in known:
            where = name if key == "file" else f"{key}.{name}"
            raise PolicyError(
                where, "there is no such key", f"Use one of: {', '.join(sorted(known))}."
            )
    return value


def _required(table: Mapping[str, Any], key: str, *, where: str = "") -> Any:
    if key not in table:
        raise PolicyError(where + key, "it is missing", "Every policy has to state it.")
    return table[key]


def _choice(key: str, value: object, kind: type[E]) -> E:
    try:
        return kind(str(value))
    except ValueError:
        known = ", ".join(kind)
        raise PolicyError(key, "not one of the known", f"Use one of: {known}.") from None


def _names(key: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PolicyError(key, "not a list of names", "Write it as [a, b].")
    return value


def _recipients(value: object) -> list[str]:
    names = _names("recipients", value)
    # Officers read the names before they approve: no terminal commands and no right-to-left text.
    if any(not (1 <= len(name) <= 100 and name.isprintable() and name.strip()) for name in names):
        raise PolicyError(
            "recipients", "a name is not of 1 to 100 printable characters", "Write it in letters."
        )
    return names


def _check_quantity(key: str, name: str) -> None:
    if name not in BY_NAME:
        raise PolicyError(key, "there is no such quantity", f"Use: {', '.join(BY_NAME)}.")


def _bucket(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 16 <= value <= 4096:
        raise PolicyError("pad_bytes", "not a number from 16 to 4096", "128 is usual.")
    return value


def _duration(key: str, value: object) -> int:
    text = f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    try:
        return durations.parse(text)
    except ValueError as exc:
        raise PolicyError(
            key, str(exc), "Write it as 500ms, 60s, 5min, 1h, 30d or PT1M."
        ) from None


def _retention(value: object) -> Retention:
    table = _table("retention", value, _RETENTION_KEYS)

    def days(name: str) -> int:
        key = f"retention.{name}"
        ms = _duration(key, _required(table, name, where="retention."))
        if ms % _DAY_MS:
            raise PolicyError(key, "not a whole number of days", "Write it as 395d.")
        if ms > durations.LONGEST_DAYS * _DAY_MS:
            raise PolicyError(key, "longer than a hundred years", "Write it as 395d.")
        return ms // _DAY_MS

    return Retention(raw_days=days("raw"), aggregate_days=days("aggregates"))


def _quantities(value: object) -> dict[str, Allowed]:
    table = _table("quantities", value)
    if not table:
        raise PolicyError("quantities", "it is empty", "Name what the purpose needs.")
    allowed: dict[str, Allowed] = {}
    for name, content in table.items():
        key = f"quantities.{name}"
        _check_quantity(key, name)
        allowed[name] = _allowed(key, name, _table(key, content, _ALLOWED_KEYS))
    return allowed


def _allowed(key: str, name: str, table: Mapping[str, Any]) -> Allowed:
    where = f"{key}."
    interval_ms = _duration(f"{where}min_interval", _required(table, "min_interval", where=where))
    time_step_ms = _duration(
        f"{where}time_rounding", _required(table, "time_rounding", where=where)
    )
    found = Allowed(
        step=_step(f"{where}round", name, _required(table, "round", where=where)),
        interval_ms=interval_ms,
        time_step_ms=time_step_ms,
        aggregate=_choice(
            f"{where}aggregate", _required(table, "aggregate", where=where), Aggregate
        ),
    )
    try:
        Rule(BY_NAME[name].code, found.step, interval_ms, time_step_ms, found.aggregate)
    except ValueError as exc:
        raise PolicyError(key, str(exc), "Change the rounding or the interval.") from None
    return found


def _step(key: str, name: str, value: object) -> int:
    """Return a rounding, in units of the quantity, as a whole number of resolution steps."""
    quantity = BY_NAME[name]
    try:
        # Converted through text, so that 0.1 is a tenth and not the nearest binary fraction.
        steps = Decimal(str(value)) * quantity.per_unit
    except InvalidOperation:
        raise PolicyError(key, "not a number", f"Give it in {quantity.unit}.") from None
    if not steps.is_finite() or steps != steps.to_integral_value() or not 1 <= steps < 1 << 15:
        finest = Decimal(1) / quantity.per_unit
        raise PolicyError(
            key,
            "not a whole multiple of the quantity's resolution",
            f"Use a multiple of {finest} {quantity.unit}.",
        )
    return int(steps)
