"""The command line of the agent: settings, keys, and the state of the spool."""

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge_agent.cli import main
from edge_agent.lease import keys
from edge_agent.ports import Sealed
from edge_agent.spool.index_tags import Tags
from edge_agent.spool.spool import SpoolLimits, SqliteSpool
from runtime.errors import ConfigError
from tests.fakes.edge_agent import HANDLE, write_keys
from tests.fixtures.pki import Certificates


@pytest.fixture
def config(tmp_path: Path, certificates: Certificates) -> Path:
    """Valid settings."""
    tls = certificates.client("a" * 16)
    write_keys(tmp_path, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
    path = tmp_path / "agent.toml"
    path.write_text(
        f'agent = "{"a" * 16}"\nstate_dir = "{tmp_path}/state"\n'
        f'[broker.tls]\nca_file = "{tls.ca_file}"\ncertificate_file = "{tls.certificate_file}"\n'
        f'key_file = "{tls.key_file}"\n'
        f'[keys]\ntrust_file = "{tmp_path}/trust.pub"\ningest_file = "{tmp_path}/ingest.pub"\n'
        f'lease_file = "{tmp_path}/lease.key"\n'
        f'[sensors]\nrecorded_socket = "{tmp_path}/s.sock"\n'
    )
    return path


def test_check_config_reads_every_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check-config` reads every file, and accepts valid settings."""
    assert main(["check-config", "--config", str(config)]) == 0
    assert "a" * 16 in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "key"),
    [
        pytest.param(('agent = "aa', 'agent = "XX'), "agent", id="no agent id"),
        pytest.param(("[sensors]", "[sensors]\nspeed = 2"), "sensors.speed", id="unknown key"),
        pytest.param(("lease.key", "none.key"), "keys.lease_file", id="no such file"),
        pytest.param(("lease.key", "trust.pub"), "keys.lease_file", id="a public key"),
        pytest.param(("ingest.pub", "trust.pub"), "keys.ingest_file", id="a key of another kind"),
        pytest.param(("trust.pub", "ingest.pub"), "keys.trust_file", id="the other way round"),
    ],
)
def test_wrong_settings_are_named(
    config: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], key: str
) -> None:
    """A wrong setting gives exit code 2, and a message that names its key."""
    (config.parent / "trust.pub").chmod(0o600)
    config.write_text(config.read_text().replace(*change))
    assert main(["check-config", "--config", str(config)]) == 2
    assert key in capsys.readouterr().err


def test_private_key_must_be_private(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lease key that other users can read is refused, and the error does not show it."""
    path = config.parent / "lease.key"
    path.chmod(0o640)
    assert main(["run", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert "chmod 600" in said
    assert path.read_text().splitlines()[1] not in said


def test_spool_show(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`spool show` prints state and totals of the spool, as text and as JSON."""
    assert main(["spool", "show", "--config", str(config)]) == 1
    lease_key = keys._private("keys.lease_file", config.parent / "lease.key")

    async def fill() -> None:
        spool = await SqliteSpool.open(
            config.parent / "state",
            Tags(lease_key),
            new_spool_id=b"s" * 16,
            bounds=SpoolLimits(1000, min_free_bytes=0),
        )
        await spool.append([Sealed(spool.take_sequence(), HANDLE, 3, b"x" * 9)], {}, now_ms=1)
        await spool.close()

    asyncio.run(fill())
    capsys.readouterr()
    assert main(["spool", "show", "--config", str(config), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("oldest_age_s") > 0
    nothing = {"envelopes": 0, "observations": 0}
    assert shown == {
        "spool_id": (b"s" * 16).hex(),
        "floor": 1,
        "next_sequence": 2,
        "depth": 1,
        "bytes": 9,
        "totals": {
            "appended": {"envelopes": 1, "observations": 3},
            "settled": nothing,
            "purged": nothing,
            "evicted": nothing,
            "damaged": nothing,
        },
        "gaps": [],
    }
    assert main(["spool", "show", "--config", str(config)]) == 0
    assert "appended" in capsys.readouterr().out


def test_unreadable_key_is_a_config_error(tmp_path: Path) -> None:
    """An unreadable key file is an error for the operator."""
    with pytest.raises(ConfigError):
        keys._private("keys.lease_file", tmp_path)
