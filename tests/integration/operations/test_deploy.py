"""
The files in deploy/, checked by the programs that they are for, as far as these are
installed.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ingest.config import Settings as IngestSettings
from runtime import files
from runtime.settings import load
from simulators.stack.postgres import Postgres
from tests.fixtures.database import programs
from trust.config import Settings as TrustSettings

DEPLOY = Path(__file__).parents[3] / "deploy"
_COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]


def _run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None and not Path(command[0]).exists():
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environ}
    )


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_closed(name: str) -> None:
    """
    Containers are read-only, unprivileged and pinned, and have no secret in their
    environment.
    """
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert 0 < service["pids_limit"] <= 512
    assert re.search(r":v?\d+\.\d+\.\d+", service["image"])
    for key, value in service.get("environment", {}).items():
        assert "PASSWORD" not in key or str(value).startswith("/run/")
    # Only the container that changes the owner of a volume runs as root, with only that
    # capability.
    assert service.get("cap_add", []) == (["CHOWN"] if service.get("user") == "0:0" else [])


@pytest.mark.parametrize("name", SERVICES)
def test_containers_tell_whether_they_are_well(name: str) -> None:
    """Every container that keeps running has a health check."""
    service = SERVICES[name]
    check = service.get("healthcheck", {})
    if check.get("disable"):
        assert service["restart"] == "no"
        waiting = [one.get("depends_on", {}).get(name) for one in SERVICES.values()]
        assert {"condition": "service_completed_successfully"} in waiting
    elif "build" in service:
        stage = (DEPLOY / "Containerfile").read_text().split(f" AS {service['build']['target']}\n")
        assert stage[1].split("FROM ")[0].count("HEALTHCHECK") == 1
    else:
        assert check["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout"} <= set(check)


@pytest.mark.parametrize(
    ("name", "least"),
    [("database", (2, 29, 2)), ("mosquitto", (2, 0, 22)), ("broker-volume", (2, 0, 22))],
)
def test_images_are_new_enough(name: str, least: tuple[int, ...]) -> None:
    """TimescaleDB and mosquitto have the required versions; the database is PostgreSQL 17."""
    image = SERVICES[name]["image"]
    version = re.search(r":(\d+)\.(\d+)\.(\d+)", image)
    assert version is not None
    assert tuple(map(int, version.groups())) >= least
    assert name != "database" or image.endswith("-pg17")


def test_what_is_written_has_a_place() -> None:
    """Every named volume is used, and only the broker's port is published."""
    mounted = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert {v for v in mounted if not v.startswith((".", "/"))} == set(_COMPOSE["volumes"])
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == [
        "8883:8883",
        "8443:8443",
    ]
    networks = _COMPOSE["networks"]
    assert networks["inside"]["internal"] is True
    # Only containers that publish a port are in the other network, because an internal one
    # publishes none.
    for name, service in SERVICES.items():
        assert ("outside" in service.get("networks", [])) is bool(service.get("ports")), name
    assert "false" in networks["outside"]["driver_opts"].values()


def test_what_could_not_be_run_is_said() -> None:
    """README and deploy/ say which parts could not be run."""
    told = (DEPLOY.parent / "README.md").read_text()
    for words in ("physical sensor", "physical Raspberry Pi", "were never started", "no Grafana"):
        assert words in told
    assert (DEPLOY / "README.md").read_text().count("**never ") >= 2


def test_files_that_compose_mounts_are_there() -> None:
    """Every mounted file exists, except for the secrets, which one command makes."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith((".", "/")) and not source.startswith("./secrets"):
                assert (DEPLOY / source).exists(), source


def test_images_run_as_nobody_in_particular() -> None:
    """No shipped stage runs as root, and every base image is pinned."""
    text = (DEPLOY / "Containerfile").read_text()
    assert "USER 10001:10001" in text
    assert text.index("USER 10001") < text.index("AS ingest")
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert base == "base" or re.search(r":\d+\.\d+\.\d+", base)
    for folder in re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE):
        assert (DEPLOY.parent / folder).is_dir()


@pytest.mark.parametrize("folder", [".", "kubernetes/base"])
def test_settings_are_read_as_they_are(folder: str) -> None:
    """The programs know every setting in the shipped files."""
    load(IngestSettings, program="ingest", path=DEPLOY / folder / "ingest.toml", environ={})
    load(TrustSettings, program="trust", path=DEPLOY / folder / "trust.toml", environ={})


def test_metrics_are_on_loopback_unless_the_network_guards_them() -> None:
    """
    Metrics listen on loopback, except where a network policy or an internal network protects the
    port.
    """
    for name in ("ingest", "trust", "agent"):
        table = tomllib.loads((DEPLOY / f"{name}.toml").read_text())
        for section in (table, *(part for part in table.values() if isinstance(part, dict))):
            assert section.get("http", {}).get("host", "127.0.0.1") == "127.0.0.1"
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("ingest", "trust"):
        service = compose["services"][name]
        assert service["environment"] == {f"VITALVEIL_{name.upper()}_HTTP_HOST": "0.0.0.0"}  # noqa: S104
        assert (service["networks"], service.get("ports")) == (["inside"], None)
        inside_a_pod = (DEPLOY / "kubernetes" / "base" / f"{name}.toml").read_text()
        assert "policy `programs` (network.yaml)" in inside_a_pod


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """
    One command makes distinct secrets that only their user can read, and refuses to run a second
    time.
    """
    folder = tmp_path / "secrets"
    made = _run(
        str(DEPLOY / "make-secrets"), str(folder), "broker.example",
        VITALVEIL=f"{sys.executable} -m vitalveil", PYTHONPATH=str(DEPLOY.parent),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    files = [path for path in folder.rglob("*") if path.is_file()]
    secret = [p for p in files if p.suffix in (".key", ".password")]
    assert [path for path in secret if path.stat().st_mode & 0o077] == []
    passwords = {p.name: p.read_text() for p in secret if p.suffix == ".password"}
    assert len(set(passwords.values())) == len(passwords) == 6
    assert min(map(len, passwords.values())) >= 32
    wanted = {"pki/ca.crt", "pki/broker.crt", "pki/ingest.key", "pki/trust.key", "pki/crl.pem"}
    assert wanted <= {str(path.relative_to(folder)) for path in files}
    again = _run(
        str(DEPLOY / "make-secrets"), str(folder),
        VITALVEIL=f"{sys.executable} -m vitalveil", PYTHONPATH=str(DEPLOY.parent),
    )  # fmt: skip
    assert again.returncode == 1
    assert "is there already" in again.stderr


def test_no_secrets_are_begun_without_the_command(tmp_path: Path) -> None:
    """Without the command `vitalveil` no secret is made, and the next attempt is not refused."""
    folder = tmp_path / "secrets"
    made = _run(str(DEPLOY / "make-secrets"), str(folder), VITALVEIL=str(tmp_path / "none"))
    assert made.returncode == 1
    assert "make setup" in made.stderr
    assert not folder.exists()


def test_every_secret_that_compose_mounts_is_made(tmp_path: Path) -> None:
    """make-secrets makes every file below ./secrets that compose.yaml mounts."""
    folder = tmp_path / "secrets"
    made = _run(
        str(DEPLOY / "make-secrets"), str(folder),
        VITALVEIL=f"{sys.executable} -m vitalveil", PYTHONPATH=str(DEPLOY.parent),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./secrets"):
                assert (tmp_path / source).exists(), source


@pytest.mark.database
@pytest.mark.slow
def test_the_migrations_that_compose_runs_run(tmp_path: Path, run_folder: Path) -> None:
    """The migrations run with the very commands, secrets and settings of compose.yaml."""
    # On a separate server, because role passwords belong to the whole server.
    server = Postgres(folder=run_folder / "compose", programs=programs())
    server.start()
    try:
        _migrate_as_compose_does(server, tmp_path)
    finally:
        server.stop()


def _migrate_as_compose_does(server: Postgres, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    made = _run(
        str(DEPLOY / "make-secrets"), str(secrets),
        VITALVEIL=f"{sys.executable} -m vitalveil", PYTHONPATH=str(DEPLOY.parent),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    files.write(secrets / "postgres.password", server.password.encode())
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE vv_telemetry")
        connection.execute("CREATE DATABASE vv_vault")
    for service, program in (("migrate-telemetry", "ingest"), ("migrate-vault", "trust")):
        words = [
            word.replace("/run/vitalveil", str(secrets))
            .replace("/etc/vitalveil", str(DEPLOY))
            .replace("host=database", f"host=127.0.0.1 port={server.port}")
            for word in SERVICES[service]["command"]
        ]
        done = _run(
            sys.executable, "-m", "vitalveil", program, *words, PYTHONPATH=str(DEPLOY.parent)
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for name, schema in (("vv_telemetry", "vv"), ("vv_vault", "vault")):
        with psycopg.connect(server.dsn(name)) as connection:
            assert connection.execute("SELECT to_regnamespace(%s)", [schema]).fetchone() != (None,)


@pytest.mark.parametrize(
    "unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda p: p.name
)
def test_units_are_sandboxed(unit: Path) -> None:
    """`systemd-analyze security` rates each unit with 2.0 or less, of 10."""
    done = _run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    assert float(exposure.group(1)) <= 2.0


def test_a_gateway_is_never_given_up() -> None:
    """The unit restarts the agent without a limit, because no person is there to start it."""
    lines = (DEPLOY / "systemd/vitalveil-agent.service").read_text().splitlines()
    assert {"Restart=always", "StartLimitIntervalSec=0"} <= set(lines)
    assert not any(line.startswith("StartLimitBurst") for line in lines)


def test_the_page_for_a_gateway_is_of_its_unit_and_its_settings() -> None:
    """
    Page, unit and settings of a gateway agree on user, folders of keys and state, and
    program.
    """
    page = (DEPLOY.parent / "docs/howto/raspberry-pi.md").read_text()
    unit = dict(
        line.split("=", 1)
        for line in (DEPLOY / "systemd/vitalveil-agent.service").read_text().splitlines()
        if re.match(r"[A-Z]\w+=", line)
    )
    settings = tomllib.loads((DEPLOY / "agent.toml").read_text())
    program, *_, configuration = unit["ExecStart"].split()
    assert f" {unit['User']}\n" in page
    assert f"venv {Path(program).parents[1]}\n" in page
    assert f"agent.toml {configuration}\n" in page
    assert settings["state_dir"] == f"/var/lib/{unit['StateDirectory']}"
    (keys,) = {
        str(Path(path).parent) for table in (settings["broker"]["tls"], settings["keys"])
        for path in table.values()
    }  # fmt: skip
    assert f"--out {keys}\n" in page
    assert unit["ReadWritePaths"] == f"-{keys}"


def test_alertmanager_takes_its_configuration() -> None:
    """The routes, receivers and inhibitions of Alertmanager pass amtool's check."""
    path = DEPLOY / "alertmanager/alertmanager.yml"
    done = _run("amtool", "check-config", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubernetes_is_rendered(tmp_path: Path) -> None:
    """In Kubernetes every pod is closed, and the workers' shares cover all shards exactly once."""
    done = _run("kubectl", "kustomize", str(DEPLOY / "kubernetes/base"))
    assert done.returncode == 0, done.stderr
    documents = list(yaml.safe_load_all(done.stdout))
    pods = [d["spec"]["template"]["spec"] for d in documents if "template" in d.get("spec", {})]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in [*pod["containers"], *pod["initContainers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "memory" in container["resources"]["limits"]
    assert _open_ports(documents, "Egress") == {53, 5432, 8883}
    assert _open_ports(documents, "Ingress") == {8443, 9464, 9465, 9466}
    workers = next(d for d in documents if d["kind"] == "StatefulSet")
    assert _shares(workers) == list(range(64))


def _open_ports(documents: list[dict[str, Any]], way: str) -> set[int]:
    """Return the ports that the network policies leave open, after one has closed everything."""
    policies = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    rules = [rule for spec in policies for rule in spec.get(way.lower(), [])]
    return {port["port"] for rule in rules for port in rule["ports"]}


def _shares(workers: dict[str, Any]) -> list[int]:
    """Run each worker's command up to the start of ingest; return the shards of all workers."""
    (container,) = workers["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    told = 'echo "$VITALVEIL_INGEST_SESSION_FIRST_SHARD $VITALVEIL_INGEST_SESSION_LAST_SHARD"'
    shards: list[int] = []
    for number in range(workers["spec"]["replicas"]):
        done = subprocess.run(
            ["/bin/sh", "-c", re.sub(r"exec .*", told, script)],
            capture_output=True, text=True, check=True,
            env={"HOSTNAME": f"ingest-{number}", "WORKERS": container["env"][0]["value"]},
        )  # fmt: skip
        first, last = map(int, done.stdout.split())
        shards += range(first, last + 1)
    return shards
