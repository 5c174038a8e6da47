"""The settings of a radio, from the file to the objects."""

from pathlib import Path

import pytest

from edge_agent.config import AgentSettings
from runtime import settings
from runtime.errors import ConfigError

_FILE = """
agent = "0123456789abcdef"
state_dir = "/var/lib/vitalveil"
[broker.tls]
ca_file = "ca.crt"
certificate_file = "agent.crt"
key_file = "agent.key"
[keys]
trust_file = "trust.pub"
ingest_file = "ingest.pub"
lease_file = "lease.key"
[sensors]
source = "bluetooth"
"""


def load(folder: Path, more: str, environ: dict[str, str] | None = None) -> AgentSettings:
    """Return the settings of a file that ends with *more*."""
    path = folder / "agent.toml"
    path.write_text(_FILE + more)
    return settings.load(AgentSettings, program="agent", path=path, environ=environ or {})


def test_a_radio_needs_nothing_but_to_be_named(tmp_path: Path) -> None:
    """Every setting of a radio has a default."""
    radio = load(tmp_path, "").sensors.bluetooth
    assert radio.adapter is None
    assert radio.quirks_file is None
    assert not radio.set_clocks
    assert not radio.assume_local_clocks


def test_each_setting_has_its_twin(tmp_path: Path) -> None:
    """Each setting can be given in the file or as an environment variable, which wins."""
    chosen = load(
        tmp_path,
        '[sensors.bluetooth]\nadapter = "hci1"\nquirks_file = "models.toml"\n',
        {
            "VITALVEIL_AGENT_SENSORS_BLUETOOTH_ADAPTER": "hci2",
            "VITALVEIL_AGENT_SENSORS_BLUETOOTH_SET_CLOCKS": "true",
        },
    ).sensors.bluetooth
    assert chosen.adapter == "hci2"
    assert chosen.quirks_file == Path("models.toml")
    assert chosen.set_clocks


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('[sensors.bluetooth]\nadapter = "wlan0"', "sensors.bluetooth.adapter"),
        ("[sensors.bluetooth]\nsilence_s = 0", "sensors.bluetooth.silence_s"),
        ("[sensors.bluetooth]\ngive_up_after_s = 5", "sensors.bluetooth.give_up_after_s"),
        ("[sensors.bluetooth]\npasskey = 123456", "sensors.bluetooth.passkey"),
        ('recorded_socket = "s"\nadapter = "hci0"', "sensors.adapter"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, more: str, key: str) -> None:
    """A wrong setting is named; a passkey is not allowed in settings."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, more)
    assert key in str(raised.value)
