"""Causes of what a broker answers: reason codes of MQTT 5 (section 2.4), without its texts."""

from collections.abc import Mapping
from typing import Final

from runtime.causes.cause import Cause

UNSPECIFIED: Final = 0x80
SESSION_TAKEN_OVER: Final = 0x8E

_RULES: Final = (
    "Compare the rules of the broker (acl_file) with deploy/mosquitto/acl: the user name is the"
    " common name of the certificate."
)
_LOAD: Final = "The program tries again. Look into the log and the limits of the broker."
_BUG: Final = "Look into the log of the broker, and report this as a bug if the broker is sound."
_LIMIT: Final = "Compare the limits in the broker's settings with deploy/mosquitto/mosquitto.conf."

_BY_CODE: Final[Mapping[int, Cause]] = {
    0x00: Cause("the broker ended the connection in order", _LOAD),
    0x04: Cause("the broker ended the connection in order", _LOAD),
    UNSPECIFIED: Cause("the broker ended the connection, or refused, without a reason", _LOAD),
    0x81: Cause("the broker says that a packet is malformed", _BUG),
    0x82: Cause("the broker says that MQTT was not kept to", _BUG),
    0x83: Cause("the broker refused for a reason of its own", _LOAD),
    0x84: Cause(
        "the broker does not speak MQTT 5",
        "Use a broker for MQTT 5: mosquitto 2.0 or later.",
        True,
    ),
    0x85: Cause(
        "the broker does not accept this client id",
        "Let the broker accept it: the id of a gateway is the name in its certificate.",
        True,
    ),
    0x86: Cause(
        "the broker does not accept this user name or password",
        "Set `use_identity_as_username true` at the broker: certificates stand for passwords.",
        True,
    ),
    0x87: Cause("the broker does not authorise this client", _RULES, True),
    0x88: Cause("the broker is not available now", _LOAD),
    0x89: Cause("the broker is busy", _LOAD),
    0x8A: Cause("the broker has banned this client", "Lift the ban at the broker.", True),
    0x8B: Cause("the broker is shutting down", _LOAD),
    0x8C: Cause("the broker asks for another way to authenticate", _RULES, True),
    0x8D: Cause(
        "the broker heard nothing from this client for one and a half keep-alive intervals",
        "Check the network, and whether the processor of this machine is overloaded.",
    ),
    SESSION_TAKEN_OVER: Cause(
        "another client connected with the same id, and the broker ended this connection",
        "Find the second process that uses this certificate or this id, and stop it: each gateway,"
        " and each ingest, has its own. If there is none of yours, its key may be copied: revoke"
        " the certificate, and enrol again. (Trust takes over a gateway that it has revoked.)",
    ),
    0x8F: Cause("the broker says that a topic filter is not valid", _BUG),
    0x90: Cause("the broker says that a topic is not valid", _BUG),
    0x91: Cause("the broker says that a packet id is in use", _BUG),
    0x92: Cause("the broker does not know a packet id", _BUG),
    0x93: Cause("the broker received more messages at once than it allows", _LIMIT),
    0x94: Cause("the broker says that a topic alias is not valid", _BUG),
    0x95: Cause(
        "a message is larger than the broker accepts",
        "Raise max_packet_size of the broker, to at least lease.max_packet_bytes of trust.",
        True,
    ),
    0x96: Cause("the broker receives messages too fast", _LIMIT),
    0x97: Cause("a quota of the broker is used up", _LIMIT),
    0x98: Cause("an administrator of the broker ended the connection", _LOAD),
    0x99: Cause("the broker does not accept the format of the message", _BUG),
    0x9A: Cause(
        "the broker does not keep retained messages",
        "Set `retain_available true` at the broker: leases and receipts are retained.",
        True,
    ),
    0x9B: Cause("the broker does not offer QoS 1", "Set `max_qos 1` or more at the broker.", True),
    0x9C: Cause("the broker says that another server is to be used", "Correct the host."),
    0x9D: Cause("the broker has moved to another server", "Correct the host.", True),
    0x9E: Cause("the broker does not offer shared subscriptions", _BUG, True),
    0x9F: Cause("the broker accepts no more connections at this rate", _LOAD),
    0xA0: Cause("the broker allows no connection for longer", _LOAD),
    0xA1: Cause("the broker does not offer subscription ids", _BUG, True),
    0xA2: Cause("the broker does not offer wildcards in subscriptions", _RULES, True),
}


def of_reason(code: int) -> Cause:
    """Return the cause of the reason code *code* of a CONNACK, DISCONNECT, SUBACK or PUBACK."""
    found = _BY_CODE.get(code)
    if found is not None:
        return Cause(f"{found.text} (reason 0x{code:02x})", found.remedy, found.is_permanent)
    return Cause(f"the broker gives the reason 0x{code:02x}, which MQTT 5 does not define", _BUG)


UNANSWERED: Final = Cause(
    "the broker ended the connection before it answered CONNECT",
    "It may refuse this certificate (revoked, expired, or of another authority) or have reached a"
    " limit: its log says which, and `vitalveil doctor` (on a gateway, `vitalveil agent doctor`)"
    " asks it.",
)
CLOSED: Final = Cause(
    "the broker ended the connection without a reason: it was stopped, or another client connected"
    " with the same id",
    "The program connects again. If it repeats, look into the log of the broker (mosquitto:"
    " `already connected, closing old connection`), and stop the second process that uses the same"
    " certificate or id.",
)
SILENT: Final = Cause(
    "the broker was silent for one and a half keep-alive intervals",
    "The program connects again. Check the network between both machines.",
)
