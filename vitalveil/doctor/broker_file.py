"""The broker's configuration and its rules, as text."""

from collections.abc import Iterable, Mapping
from typing import Final

from vitalveil.doctor.finding import Finding, note, sound, wrong

_MUST: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("broker-anonymous", "allow_anonymous", "false", "anybody may connect"),
    ("broker-certificates", "require_certificate", "true", "clients need no certificate"),
    (
        "broker-identity",
        "use_identity_as_username",
        "true",
        "the user name is not the certificate's, so anybody may say to be anybody",
    ),
    (
        "broker-client-id",
        "use_username_as_clientid",
        "true",
        "a client may take another's session by its id",
    ),
    ("broker-tls-version", "tls_version", "tlsv1.3", "older TLS is spoken too"),
    (
        "broker-persistence",
        "persistence",
        "true",
        "what is queued is lost when the broker restarts",
    ),
    ("broker-retain", "retain_available", "true", "leases and receipts cannot be retained"),
)
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


def configuration(text: str) -> Iterable[Finding]:
    """Judge a mosquitto.conf."""
    found = _options(text)
    for code, option, wanted, problem in _MUST:
        if found.get(option) == wanted:
            yield sound(code, f"{option} {wanted}")
        else:
            yield wrong(code, problem, f"Set `{option} {wanted}`.")
    for code, option, problem in (
        ("broker-server-certificate", "certfile", "a listener has no certificate: no TLS"),
        ("broker-ca", "cafile", "no authority is named: no client can be told from another"),
        ("broker-revocations", "crlfile", "revoked gateways still get in"),
        ("broker-acl", "acl_file", "everybody may read and write everything"),
    ):
        if option in found:
            yield sound(code, f"{option} is set")
        else:
            yield wrong(code, problem, f"Set `{option}`, as in deploy/mosquitto/mosquitto.conf.")
    yield from _limits(found)


def _limits(found: Mapping[str, str]) -> Iterable[Finding]:
    packet = int(found.get("max_packet_size", "0"))
    if 0 < packet < _LEAST_PACKET:
        mend = f"Set `max_packet_size {_LEAST_PACKET}`."
        yield wrong("broker-packet-size", "envelopes may be larger than it takes", mend)
    elif packet == 0:
        mend = f"Set `max_packet_size {_LEAST_PACKET}`."
        yield note("broker-packet-size", "a client may send 256 MB at once", mend)
    else:
        yield sound("broker-packet-size", f"max_packet_size {packet}")
    if found.get("max_queued_messages", "1000") == "0" and (
        found.get("max_queued_bytes", "0") == "0"
    ):
        mend = "Set `max_queued_bytes` to what the machine's memory allows."
        yield note("broker-queue-bound", "the queue has no bound but the memory", mend)
    elif 0 < int(found.get("max_queued_messages", "1000")) <= 1000:
        mend = "Set `max_queued_messages 0` and `max_queued_bytes`."
        yield wrong("broker-queue", "more than 1000 queued envelopes are dropped", mend)
    else:
        yield sound("broker-queue", "the queue is bounded by bytes")


def _options(text: str) -> dict[str, str]:
    lines = (line.split("#", 1)[0].split(None, 1) for line in text.splitlines())
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def rules(text: str) -> Iterable[Finding]:
    """Judge an ACL file: what must be there is, and nothing else."""
    found = _rules(text)
    missing = [rule for rule in _RULES if rule not in found]
    if missing:
        user, rule = missing[0]
        who = f"user {user}" if user else "everybody"
        yield wrong(
            "broker-acl-missing",
            f"{len(missing)} rules are missing, the first of {who}",
            f"Add `{rule}`, as in deploy/mosquitto/acl.",
        )
    wide = [(user, rule) for user, rule in found if (user, rule) not in {*_RULES, *_HARMLESS}]
    if wide:
        yield wrong(
            "broker-acl-wide",
            f"{len(wide)} rules allow more than is needed, such as `{wide[0][1]}`",
            "Take it out: whoever may read more than its own sees who is measured when.",
        )
    if not missing and not wide:
        yield sound("broker-acl-rules", "the rules are those that are needed")


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
