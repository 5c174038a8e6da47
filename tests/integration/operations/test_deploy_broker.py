"""The broker's configuration and rules in `deploy/`, as tests and the doctor take them."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import aiomqtt
import pytest

from simulators.stack import broker as stack_broker
from simulators.stack.broker import Mosquitto
from simulators.stack.child import Child, free_port, is_listening
from tests.fakes.edge_agent import mqtt
from tests.fixtures.broker import broker_settings
from tests.fixtures.pki import Certificates
from vitalveil.doctor import broker_file
from vitalveil.doctor.finding import Level
from wire import topics

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.broker
def test_the_brokers_configuration_starts(tmp_path: Path, certificates: Certificates) -> None:
    """The broker starts with the shipped configuration, with the paths of this machine."""
    text = (DEPLOY / "mosquitto/mosquitto.conf").read_text()
    port = free_port()
    for old, new in (
        ("/run/vitalveil/pki", str(certificates.folder)),
        ("/mosquitto/config/acl", str(DEPLOY / "mosquitto/acl")),
        ("/mosquitto/data", str(tmp_path)),
        ("listener 8883", f"listener {port} 127.0.0.1"),
    ):
        assert old in text
        text = text.replace(old, new)
    if os.geteuid() == 0:
        text += "user root\n"
    path = tmp_path / "mosquitto.conf"
    path.write_text(text)
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    child = Child("mosquitto", [program, "-c", str(path)], log=tmp_path / "log")
    child.wait_until(lambda: is_listening(port), timeout_s=15)
    child.stop()


def test_the_doctor_has_nothing_to_say_about_the_broker() -> None:
    """The doctor finds nothing wrong with the shipped configuration of the broker."""
    configuration = (DEPLOY / "mosquitto/mosquitto.conf").read_text()
    acl = (DEPLOY / "mosquitto/acl").read_text()
    found = [*broker_file.configuration(configuration), *broker_file.rules(acl)]
    assert [one for one in found if one.level is not Level.SOUND] == []


@pytest.mark.broker
def test_the_rules_are_those_that_tests_run_with(broker: Mosquitto) -> None:
    """
    Integration tests run with the shipped access rules.

    There is one difference: the broker of the tests has one rule for all shards, which costs it
    less.
    """
    shipped, tested = (
        [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in (DEPLOY / "mosquitto/acl", broker.folder / "acl")
    )
    for_all = "pattern write vv1/obs/+/%u"
    assert set(tested) - {for_all} < set(shipped)
    assert sorted(set(shipped) - set(tested)) == [
        for_all.replace("+", f"{shard:02x}") for shard in range(64)
    ]


@pytest.mark.broker
async def test_a_gateway_leaves_messages_in_the_shards_alone(
    broker: Mosquitto, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Under the shipped rules a gateway may publish below the shards, and to its state, but to no
    other topic.
    """
    monkeypatch.setattr(stack_broker, "_ACL", (DEPLOY / "mosquitto/acl").read_text())
    broker.kill()
    broker.start()
    agent = "00112233445566ff"
    allowed = topics.observations(agent)
    elsewhere = [f"vv1/obs/{where}/{agent}" for where in ("40", "ff", "xx", "more", "00/00")]

    for topic in (*elsewhere, allowed):
        # The broker ends the connection of a client that publishes to a forbidden topic.
        with contextlib.suppress(aiomqtt.MqttError):
            async with mqtt(broker_settings(broker, certificates, agent), agent) as client:
                await client.publish(topic, b"left", qos=1, retain=True)
    async with mqtt(broker_settings(broker, certificates, "ingest"), "ingest") as client:
        await client.subscribe("vv1/obs/#", qos=1)
        heard = await anext(client.messages)
        assert heard.topic.value == allowed
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(client.messages), 0.3)
