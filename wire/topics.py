"""
The grammar of MQTT topics. A topic names a gateway, never a person or a quantity.

`agent` is 16 hexadecimal digits, issued at enrolment. It is the common name of the agent's
certificate, and so its MQTT user name and client id. Shards distribute agents over ingest workers.
"""

import hashlib
import re
from typing import Final

from wire.errors import WrongTopic

SHARDS: Final = 64
"""The number of shards. The shard of an agent is the first 6 bits of the SHA-256 of its id."""

_AGENT = re.compile(r"[0-9a-f]{16}", re.ASCII)
_OBSERVATIONS = re.compile(r"vv1/obs/([0-9a-f]{2})/([0-9a-f]{16})", re.ASCII)
_STATE = re.compile(r"vv1/state/([0-9a-f]{16})", re.ASCII)

ALL_OBSERVATIONS: Final = "vv1/obs/+/+"
ALL_STATES: Final = "vv1/state/+"


def is_agent(text: str) -> bool:
    """Tell whether *text* is the id of an agent."""
    return _AGENT.fullmatch(text) is not None


def shard_of(agent: str) -> int:
    """Return the shard of *agent*, 0 to 63."""
    return hashlib.sha256(agent.encode()).digest()[0] >> 2


def observations(agent: str) -> str:
    """Return the topic on which *agent* publishes envelopes."""
    return f"vv1/obs/{shard_of(agent):02x}/{agent}"


def observations_of_shard(shard: int) -> str:
    """Return the topic filter for all envelopes of *shard*."""
    return f"vv1/obs/{shard:02x}/+"


def receipt(agent: str) -> str:
    """Return the topic on which *agent* receives its receipts."""
    return f"vv1/receipt/{agent}"


def lease(agent: str) -> str:
    """Return the topic on which *agent* receives its lease."""
    return f"vv1/lease/{agent}"


def state(agent: str) -> str:
    """Return the topic on which *agent* publishes its state."""
    return f"vv1/state/{agent}"


def parse_observations(topic: str) -> str:
    """
    Return the agent of an observations topic.

    Raises:
        WrongTopic: The topic is not for observations, or has not the shard of its agent.
    """
    match = _OBSERVATIONS.fullmatch(topic)
    if match is None:
        raise WrongTopic("the topic is not one for observations")
    shard, agent = match.groups()
    if int(shard, 16) != shard_of(agent):
        raise WrongTopic("the agent in the topic does not belong to its shard")
    return agent


def parse_state(topic: str) -> str:
    """
    Return the agent of a state topic.

    Raises:
        WrongTopic: The topic is not for states.
    """
    match = _STATE.fullmatch(topic)
    if match is None:
        raise WrongTopic("the topic is not one for states")
    return match.group(1)
