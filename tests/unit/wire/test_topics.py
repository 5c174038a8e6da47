"""The grammar of topics."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies_wire import agents
from wire import topics
from wire.errors import WireError, WrongTopic

AGENT = "0123456789abcdef"
# The first byte of SHA-256("0123456789abcdef") is 0x9f, its first six bits 0x27.
OBSERVATIONS = "vv1/obs/27/0123456789abcdef"


def test_topics_are_written_as_by_hand() -> None:
    """The topics equal those written by hand, because brokers' access rules contain them."""
    assert hashlib.sha256(AGENT.encode()).digest()[0] == 0x9F
    assert topics.observations(AGENT) == OBSERVATIONS
    assert topics.observations_of_shard(0x27) == "vv1/obs/27/+"
    assert topics.receipt(AGENT) == "vv1/receipt/0123456789abcdef"
    assert topics.lease(AGENT) == "vv1/lease/0123456789abcdef"
    assert topics.state(AGENT) == "vv1/state/0123456789abcdef"


@given(agents)
def test_parsing_inverts_building(agent: str) -> None:
    """Parsing inverts building."""
    assert topics.is_agent(agent)
    assert topics.parse_observations(topics.observations(agent)) == agent
    assert topics.parse_state(topics.state(agent)) == agent
    assert 0 <= topics.shard_of(agent) < topics.SHARDS


@given(st.sampled_from([OBSERVATIONS, topics.state(AGENT)]), st.data())
def test_every_truncated_topic_is_wrong(topic: str, data: st.DataObject) -> None:
    """Every truncated topic is wrong."""
    part = topic[: data.draw(st.integers(0, len(topic) - 1))]
    for parse in (topics.parse_observations, topics.parse_state):
        with pytest.raises(WrongTopic):
            parse(part)


@given(st.text(max_size=40))
def test_no_topic_raises_anything_else(topic: str) -> None:
    """Any text is a valid topic, or raises a WireError."""
    for parse in (topics.parse_observations, topics.parse_state):
        try:
            parse(topic)
        except WireError:
            pass


@pytest.mark.parametrize(
    "topic",
    [
        "vv1/obs/28/0123456789abcdef",
        "vv1/obs/27/0123456789ABCDEF",
        "vv1/obs/27/0123456789abcdef\n",
        "vv1/obs/27/0123456789abcdef/more",
        "/vv1/obs/27/0123456789abcdef",
        "vv2/obs/27/0123456789abcdef",
        "vv1/obs/+/0123456789abcdef",
        "vv1/obs/27/０123456789abcdef",
    ],
)
def test_wrong_topic_is_refused(topic: str) -> None:
    """A topic with another shard, case or number of levels is wrong."""
    with pytest.raises(WrongTopic):
        topics.parse_observations(topic)


@pytest.mark.parametrize(
    "text", ["", "0" * 15, "0" * 17, "g" * 16, "A" * 16, "0" * 16 + "\n", "#"]
)
def test_other_text_is_no_agent(text: str) -> None:
    """
    The id of an agent is 16 lower-case hexadecimal digits, so that it can contain no
    wildcard.
    """
    assert not topics.is_agent(text)
