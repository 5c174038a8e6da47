"""Checks of the broker's configuration (mosquitto.conf) and of its access rules (acl_file)."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from vitalveil.doctor.finding import Finding, note, sound, wrong

Options = Mapping[str, str]
_REQUIRED: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("broker-anonymous", "allow_anonymous", "false", "anyone may connect"),
    ("broker-certificates", "require_certificate", "true", "clients need no certificate"),
    (
        "broker-identity",
        "use_identity_as_username",
        "true",
        "the user name is not taken from the certificate: clients can impersonate each other",
    ),
    (
        "broker-client-id",
        "use_username_as_clientid",
        "true",
        "a client can take over the session of another client by its client id",
    ),
    ("broker-tls-version", "tls_version", "tlsv1.3", "older versions of TLS are accepted"),
    (
        "broker-persistence",
        "persistence",
        "true",
        "queued messages are lost when the broker restarts",
    ),
    ("broker-retain", "retain_available", "true", "leases and receipts cannot be retained"),
)
_OF_LISTENERS: Final = frozenset({
    "require_certificate", "use_identity_as_username", "use_username_as_clientid", "tls_version",
    "certfile", "cafile", "crlfile",
})  # fmt: skip
"""Options that mosquitto applies to the listener above them; all others are global."""
_OPENS: Final = frozenset({
    "port", "bind_address", "bind_interface", "socket_domain", "protocol", "http_dir",
    "max_connections", "mount_point", "use_username_as_clientid", "use_identity_as_username",
    "use_subject_as_username", "require_certificate", "certfile", "keyfile", "cafile", "capath",
    "crlfile", "ciphers", "psk_hint",
})  # fmt: skip
"""Options that create a default listener if they are above the first `listener`."""
_LEAST_PACKET: Final = 131_072
_RULES: Final = (
    ("ingest", "topic read vv1/obs/#"),
    ("ingest", "topic read vv1/state/+"),
    ("ingest", "topic write vv1/receipt/+"),
    ("trust", "topic write vv1/lease/+"),
    ("", "pattern write vv1/obs/+/%u"),
    ("", "pattern write vv1/state/%u"),
    ("", "pattern read vv1/receipt/%u"),
    ("", "pattern read vv1/lease/%u"),
)


class Reader(msgspec.Struct, frozen=True):
    """
    How the broker reads revocation lists.

    Args:
        files: The files that its listeners read.

        user: The user that the broker becomes after its start; empty if not configured.
    """

    files: tuple[Path, ...]
    user: str = ""


def configuration(text: str) -> Iterable[Finding]:
    """Judge a mosquitto.conf; options of listeners must be right for each listener."""
    found, listeners = _options(text)
    yield from _unseen(text)
    for code, option, wanted, problem in _REQUIRED:
        if all(one.get(option) == wanted for one in _where(option, found, listeners)):
            yield sound(code, f"{option} {wanted}")
        else:
            yield wrong(code, problem, f"Set `{option} {wanted}`.")
    for code, option, problem in (
        ("broker-server-certificate", "certfile", "a listener has no certificate, and no TLS"),
        ("broker-ca", "cafile", "no authority is set: clients' certificates are not verified"),
        ("broker-revocations", "crlfile", "revoked gateways can still connect"),
        ("broker-acl", "acl_file", "all clients may read and write all topics"),
    ):
        if all(option in one for one in _where(option, found, listeners)):
            yield sound(code, f"{option} is set")
        else:
            yield wrong(code, problem, f"Set `{option}`, as in deploy/mosquitto/mosquitto.conf.")
    yield from _limits(found)


def revocation_lists(text: str) -> Reader:
    """Return the revocation lists that the listeners of a mosquitto.conf read, and the user."""
    found, listeners = _options(text)
    files = dict.fromkeys(Path(one["crlfile"]) for one in listeners if "crlfile" in one)
    return Reader(tuple(files), found.get("user", ""))


def max_packet_bytes(text: str) -> int | None:
    """Return the `max_packet_size` of a mosquitto.conf in bytes; None if it is not set."""
    found, _ = _options(text)
    return _number(found, "max_packet_size", 0) if "max_packet_size" in found else None


def _unseen(text: str) -> Iterable[Finding]:
    """Judge options that create a default listener, include other files, or make a bridge."""
    lines = [words for words in map(_words, text.splitlines()) if words]
    options = [words[0] for words in lines]
    above = options[: options.index("listener")] if "listener" in options else []
    opens = sorted(_OPENS.intersection(above))
    if opens:
        yield wrong(
            "broker-default-listener",
            f"`{opens[0]}` above the first `listener` creates a default listener on port 1883",
            "Move it below the `listener` to which it belongs, and do not use `port`.",
        )
    if "include_dir" in options:
        remedy = "Check those files too, with --broker-conf: their options apply as well."
        yield note("broker-include", "the files of include_dir are not checked", remedy)
    if "connection" in options:
        remedy = "Remove the `connection`, unless you know which topics it carries, and to whom."
        yield note("broker-bridge", "the broker forwards messages to another broker", remedy)


def _words(line: str) -> list[str]:
    return line.split("#", 1)[0].split(None, 1)


def _where(option: str, found: Options, listeners: Sequence[Options]) -> Sequence[Options]:
    """Return the sections that must set *option*: each listener, or the whole file."""
    of_listeners = option in _OF_LISTENERS or (
        option in ("allow_anonymous", "acl_file") and found.get("per_listener_settings") == "true"
    )
    return listeners if of_listeners else [found]


def _limits(found: Options) -> Iterable[Finding]:
    packet, messages, size = (
        _number(found, name, unset)
        for name, unset in (
            ("max_packet_size", 0),
            ("max_queued_messages", 1000),
            ("max_queued_bytes", 0),
        )
    )
    remedy = f"Set `max_packet_size {_LEAST_PACKET}`."
    if packet == 0:
        yield note("broker-packet-size", "a client may send packets of 256 MB", remedy)
    elif packet < _LEAST_PACKET:
        yield wrong("broker-packet-size", "an envelope may be larger than max_packet_size", remedy)
    else:
        yield sound("broker-packet-size", f"max_packet_size {packet}")
    if messages == 0 and size == 0:
        remedy = "Set `max_queued_bytes` to a size that the machine's memory allows."
        yield note("broker-queue-bound", "the queue is limited only by the memory", remedy)
    elif messages != 0 and messages <= 1000:
        remedy = "Set `max_queued_messages 0` and `max_queued_bytes`."
        yield wrong("broker-queue", "more than 1000 queued envelopes are dropped", remedy)
    else:
        yield sound("broker-queue", "the queue is limited in bytes")


def _number(found: Options, option: str, unset: int) -> int:
    """Return *option* as a number, *unset* if it is missing, or -1 if it is not a number."""
    text = found.get(option, str(unset))
    return int(text) if text.isascii() and text.isdigit() else -1


def _options(text: str) -> tuple[Options, list[Options]]:
    """Return all options of the file, and the options of each listener."""
    found: dict[str, str] = {}
    listeners: list[dict[str, str]] = []
    for line in text.splitlines():
        words = _words(line)
        if len(words) < 2:
            continue
        option, value = words[0], words[1].strip()
        if option == "listener":
            listeners.append({})
        found[option] = value
        if listeners:
            listeners[-1][option] = value
    # A file without listeners has the default listener.
    return found, list(listeners) or [found]


def rules(text: str) -> Iterable[Finding]:
    """Judge an ACL file: it must have the required rules and no others."""
    found = _by_shard(_rules(text))
    missing = [rule for rule in _RULES if rule not in found]
    if missing:
        user, rule = missing[0]
        who = f"user {user}" if user else "all users"
        yield wrong(
            "broker-acl-missing",
            f"{len(missing)} rules are missing, the first of them for {who}",
            f"Add `{rule}`, as in deploy/mosquitto/acl.",
        )
    wide = [(user, rule) for user, rule in found if (user, rule) not in {*_RULES, *_HARMLESS}]
    if wide:
        yield wrong(
            "broker-acl-wide",
            f"{len(wide)} rules allow more than is needed, for instance `{wide[0][1]}`",
            "Remove them: a client that reads other topics sees which gateway measures when.",
        )
    if ("", _ALL_SHARDS) in _rules(text):
        yield note(
            "broker-acl-retained",
            "one gateway can publish retained messages on any number of topics until the broker"
            " reaches its memory limit and refuses all clients",
            f"Replace `{_ALL_SHARDS}` by one rule for each shard, as in deploy/mosquitto/acl.",
        )
    if not missing and not wide:
        yield sound("broker-acl-rules", "the file has exactly the required rules")


def _by_shard(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return *found* with the rules for the 64 shards, if all are there, as one rule for all."""
    if not _EACH_SHARD.issubset(found):
        return found
    return [("", _ALL_SHARDS), *(rule for rule in found if rule not in _EACH_SHARD)]


_ALL_SHARDS: Final = "pattern write vv1/obs/+/%u"
_EACH_SHARD: Final = {("", f"pattern write vv1/obs/{shard:02x}/%u") for shard in range(64)}
_HARMLESS: Final = (("trust", "topic read vv1/state/+"),)


def _rules(text: str) -> list[tuple[str, str]]:
    user, found = "", []
    for line in text.splitlines():
        bare = " ".join(line.split("#", 1)[0].split()) if line.startswith("#") else line.strip()
        if bare.startswith("user "):
            user = bare.removeprefix("user ").strip()
        elif bare.startswith(("topic ", "pattern ")):
            found.append(("" if bare.startswith("pattern ") else user, bare))
    return found
