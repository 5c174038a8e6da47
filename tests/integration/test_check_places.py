"""
Checks that find future failures: leases that are too large, and folders that others can
write to.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import yaml

from runtime import files
from runtime.errors import ConfigError
from tests.fixtures.vault import Office, measured
from trust.cli import settings_check
from trust.cli.command import NoArguments
from trust.cli.commands.installation import check_config
from trust.config import CertificateSettings, KeysSettings, Settings
from vitalveil.doctor import broker_file, lease_size
from vitalveil.doctor import files as doctor_files
from vitalveil.doctor.finding import Finding, Level

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"


def with_most(office: Office, most: int) -> Settings:
    """Return the settings of *office* with another largest packet."""
    lease = msgspec.structs.replace(office.settings.lease, max_packet_bytes=most)
    return msgspec.structs.replace(office.settings, lease=lease)


def look(office: Office, most: int, broker_takes: int | None = None) -> list[Finding]:
    """Let the doctor check the leases of *office*."""
    server = office.vault.server
    dsn = f"host=127.0.0.1 port={server.port} dbname={office.vault.name} user=vv_trust"
    with psycopg.connect(dsn, password=server.password, autocommit=True) as connection:
        return list(lease_size.look(connection, most=most, broker_takes=broker_takes))


@pytest.mark.database
def test_a_lease_that_would_not_be_renewed_is_named_before(office: Office) -> None:
    """
    check-config and the doctor name gateways whose next lease would be too large, and the setting
    to change, except revoked ones.
    """
    _, agent = measured(office)
    size = office.vault.fetch("SELECT octet_length(lease) FROM vault.agents")[0][0]
    assert isinstance(size, int)
    most = size // 2

    with pytest.raises(ConfigError, match=f"1 gateways.*{agent}.*max_packet_size") as raised:
        check_config(with_most(office, most), NoArguments())
    (found,) = look(office, most)

    assert raised.value.key == "lease.max_packet_bytes"
    assert (found.level, agent in found.text) == (Level.WRONG, True)
    needed = re.search(r"max_packet_bytes to (\d+)", found.remedy)
    assert needed is not None
    told = int(needed.group(1))
    fits = check_config(with_most(office, told), NoArguments())
    assert fits.leases == f"each fits into {told} bytes"
    (near,) = look(office, size + 60)
    assert near.level is Level.NOTE
    office.run("pki", "revoke", agent, "--yes")
    assert look(office, most)[0].level is Level.SOUND


@pytest.mark.database
def test_a_broker_that_takes_less_is_told(office: Office) -> None:
    """
    A broker with a smaller limit than trust is reported, because leases between both limits would
    never arrive.
    """
    conf = "listener 8883\nmax_packet_size 65536\n"
    takes = broker_file.max_packet_bytes(conf)
    found = {one.code: one.level for one in look(office, 131_072, takes)}
    assert found["broker-lease-size"] is Level.WRONG
    for enough in (65_536, 4096):
        assert [one.code for one in look(office, enough, takes)] == ["trust-lease-size"]
    for text in ("", "max_packet_size 0"):
        found_all = look(office, 131_072, broker_file.max_packet_bytes(text))
        assert [one.code for one in found_all] == ["trust-lease-size"]


@pytest.mark.database
def test_a_vault_that_is_away_is_no_wrong_setting(office: Office) -> None:
    """
    If the vault is unreachable, check-config says that leases were not checked, and does
    not fail.
    """
    vault = msgspec.structs.replace(
        office.settings.vault, dsn="host=127.0.0.1 port=1 dbname=vv_vault user=vv_trust"
    )
    chosen = msgspec.structs.replace(office.settings, vault=vault)
    assert "out of reach" in check_config(chosen, NoArguments()).leases


@pytest.mark.database
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another group")
@pytest.mark.parametrize("mode", [0o2775, 0o2777, 0o770])
@pytest.mark.parametrize("key", ["keys.folder", "certificates.crl_file"])
def test_a_folder_that_others_write_to_is_told(
    office: Office, tmp_path: Path, key: str, mode: int
) -> None:
    """
    A folder that others can write to, such as a volume with fsGroup, is reported with its setting
    and the remedy.
    """
    folder = tmp_path / "volume"
    folder.mkdir()
    for file in office.settings.keys.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
        (folder / file.name).chmod(0o600)
    each: dict[str, dict[str, Any]] = {
        "keys.folder": {"keys": KeysSettings(folder)},
        "certificates.crl_file": {"certificates": CertificateSettings(crl_file=folder / "crl")},
    }
    changes = each[key]
    chosen = msgspec.structs.replace(office.settings, **changes)
    assert check_config(chosen, NoArguments()).config == "usable"
    os.chown(folder, -1, 10_001)
    folder.chmod(mode)

    with pytest.raises(ConfigError, match=r"chmod go-w.*fsGroup.*mode 0700") as raised:
        check_config(chosen, NoArguments())

    assert raised.value.key == key
    where, is_public = settings_check.folders(chosen)[key]
    (found,) = doctor_files.folder("code", where, is_public=is_public)
    assert found.level is Level.WRONG
    assert "fsGroup" in found.remedy


@pytest.mark.parametrize("program", ["trust", "ingest"])
def test_the_secrets_of_a_pod_lie_in_a_folder_of_their_own(tmp_path: Path, program: str) -> None:
    """
    The shipped command copies the secrets of a pod into a folder that only its user can
    read.
    """
    text = (BASE / f"{program}.yaml").read_text()
    (pod,) = (
        one["spec"]["template"]["spec"]
        for one in yaml.safe_load_all(text)
        if one["kind"] in ("Deployment", "StatefulSet")
    )
    secrets, volume = tmp_path / "secrets", tmp_path / "volume"
    secrets.mkdir()
    volume.mkdir()
    volume.chmod(0o2777)
    (secrets / "some.key").write_text("secret")
    *shell, script = pod["initContainers"][0]["command"]
    script = script.replace("/secrets/", f"{secrets}/").replace("/run/vitalveil", str(volume))
    for _ in range(2):
        subprocess.run([*shell, script], check=True)

    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "keys")

    own = volume / mount["subPath"]
    files.check_folder(own)
    assert (own / "some.key").stat().st_mode & 0o077 == 0
    with pytest.raises(files.UnsafePlace):
        files.check_folder(volume)
