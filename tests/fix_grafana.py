"""A real Grafana with our provisioning, where there is one; Debian has no package of it."""

import base64
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from grafana.build import ROOT
from simulators.stack.child import Child, free_port

_PASSWORD: Final = "of a test alone"
_MOVED: Final = {
    "/etc/grafana/dashboards": "dashboards",
    "/run/secrets/vv_grafana.password": "vv_grafana.password",
}


def program() -> list[str] | None:
    """Return the command that starts Grafana here, or None."""
    found = shutil.which("grafana")
    if found is not None:
        return [found, "server"]
    found = shutil.which("grafana-server")
    return None if found is None else [found]


class Answer:
    """What came back: the status, and the body as it is."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


class Grafana:
    """
    A server on loopback, with the provisioning and the dashboards of this project.

    Args:
        folder: Its private folder.

        database: Its name.

        password: Of `vv_grafana` in it.

        environ: Where the datasources are, as the provisioning asks for it.
    """

    def __init__(
        self, folder: Path, *, database: str, password: str, environ: dict[str, str]
    ) -> None:
        command = program()
        assert command is not None
        self.port = free_port()
        self._provision(folder, database, password)
        self._child = Child(
            "grafana",
            [*command, f"--homepath={_home(command[0])}"],
            log=folder / "grafana.log",
            environ={**self._settings(folder), **environ},
        )
        self._child.wait_until(self.is_healthy, timeout_s=120)

    def _provision(self, folder: Path, database: str, password: str) -> None:
        """Copy what deploy/ mounts, with the paths of this machine."""
        shutil.copytree(ROOT / "grafana/json", folder / "dashboards")
        (folder / "vv_grafana.password").write_text(password)
        for source in (ROOT / "grafana/provisioning").glob("*/*.yaml"):
            text = source.read_text().replace("database: vv_telemetry", f"database: {database}")
            for old, new in _MOVED.items():
                text = text.replace(old, str(folder / new))
            target = folder / "provisioning" / source.parent.name / source.name
            target.parent.mkdir(parents=True)
            target.write_text(text)

    def _settings(self, folder: Path) -> dict[str, str]:
        return {
            "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
            "GF_PATHS_DATA": str(folder / "data"),
            "GF_PATHS_LOGS": str(folder / "logs"),
            "GF_PATHS_PLUGINS": str(folder / "plugins"),
            "GF_SERVER_HTTP_ADDR": "127.0.0.1",
            "GF_SERVER_HTTP_PORT": str(self.port),
            "GF_SECURITY_ADMIN_PASSWORD": _PASSWORD,
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_USERS_ALLOW_SIGN_UP": "false",
        }

    def is_healthy(self) -> bool:
        """Tell whether it serves, and has its own database."""
        try:
            return self.ask("/api/health", user=None).status == 200
        except OSError:
            return False

    def ask(self, path: str, body: object = None, *, user: str | None = "admin") -> Answer:
        """Return its answer; POST when there is a body. Every user has the same password."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if user is not None:
            pair = base64.b64encode(f"{user}:{_PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - loopback
                return Answer(reply.status, reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())

    def query(self, target: dict[str, Any], *, user: str = "admin") -> Answer:
        """Ask what a panel asks, over the last hour, as the panel does."""
        asked = {**target, "intervalMs": 1000, "maxDataPoints": 500}
        return self.ask(
            "/api/ds/query", {"queries": [asked], "from": "now-1h", "to": "now"}, user=user
        )

    def add_viewer(self, name: str) -> None:
        """Add somebody who may look, and do nothing else."""
        made = self.ask("/api/admin/users", {"login": name, "name": name, "password": _PASSWORD})
        assert made.status == 200, made.body

    def stop(self) -> None:
        """Stop it."""
        self._child.stop()


def _home(found: str) -> Path:
    """Return the folder of its `conf` and `public`: a package's, or beside the program."""
    for home in (Path("/usr/share/grafana"), Path(found).resolve().parents[1]):
        if (home / "conf/defaults.ini").exists():
            return home
    raise AssertionError("conf/defaults.ini of Grafana is not where it should be")
