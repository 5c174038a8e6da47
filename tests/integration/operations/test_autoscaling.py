"""The autoscaled installation: rendered, and its workers run against a simulated cluster API."""

import http.server
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml

from grafana.build import ROOT
from ingest.mqtt.session import SessionSettings

_FOLDER: Final = ROOT / "deploy/kubernetes/autoscaled"
_TELL: Final = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with open(sys.argv[1], "a") as told:
    told.write(" ".join(os.environ["VITALVEIL_INGEST_SESSION_" + name] for name in
                        ("CLIENT_ID", "FIRST_SHARD", "LAST_SHARD")) + "\\n")
while not os.path.exists(sys.argv[1] + ".end"):
    time.sleep(0.05)
sys.exit(3)
"""


def _worker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worker", _FOLDER / "worker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    """The output of `kubectl kustomize`."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", str(_FOLDER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _of(rendered: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [d for d in rendered if d["kind"] == kind and d["metadata"]["name"] == "ingest"]
    return found


def test_the_autoscaler_scales_the_workers_on_their_lag(rendered: list[dict[str, Any]]) -> None:
    """
    Only the autoscaler sets the number of workers, within limits, by an existing metric of their
    lag.
    """
    spec = _of(rendered, "HorizontalPodAutoscaler")["spec"]
    workers = _of(rendered, "StatefulSet")
    assert spec["scaleTargetRef"]["kind"] == "StatefulSet"
    assert spec["scaleTargetRef"]["name"] == workers["metadata"]["name"]
    assert "replicas" not in workers["spec"]
    assert 1 < spec["minReplicas"] < spec["maxReplicas"] <= _worker().SHARDS
    (metric,) = spec["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"`{name}`" in (ROOT / "docs/metrics.md").read_text()
    assert name in (_FOLDER / "adapter.yaml").read_text()
    # Above the envelopes in flight at rest, and below the window of a worker that cannot keep up.
    assert int(metric["pods"]["target"]["averageValue"]) < SessionSettings().receive_max
    assert yaml.safe_load((_FOLDER / "adapter.yaml").read_text())[0]["seriesQuery"].startswith(
        name
    )


def test_workers_may_read_the_scale_and_nothing_else(rendered: list[dict[str, Any]]) -> None:
    """Workers may only read the scale, and trust's pods have no token."""
    (rule,) = _of(rendered, "Role")["rules"]
    assert rule["verbs"] == ["get"]
    assert rule["resources"] == ["statefulsets/scale"]
    assert rule["resourceNames"] == ["ingest"]
    pod = _of(rendered, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == _of(rendered, "RoleBinding")["subjects"][0]["name"]
    programs = {d["metadata"]["name"]: d for d in rendered if d["kind"] == "Deployment"}
    assert set(programs) == {"trust", "enrolment"}
    for program in programs.values():
        assert program["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_what_is_rendered_is_of_kubernetes_schema(rendered: list[dict[str, Any]]) -> None:
    """Where kubernetes-validate is installed, every rendered object matches its schema."""
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not there")
    for document in rendered:
        schemas.validate(document, desired_version=schemas.latest_version(), strict=True)


@pytest.mark.parametrize("workers", range(1, 65))
def test_shares_are_all_shards_once(workers: int) -> None:
    """The shares of up to 64 workers cover every shard exactly once; a further worker has none."""
    shares = [_worker().environment(number, workers) for number in range(workers)]
    bounds = [
        (int(s["VITALVEIL_INGEST_SESSION_FIRST_SHARD"]),
         int(s["VITALVEIL_INGEST_SESSION_LAST_SHARD"]))
        for s in shares
    ]  # fmt: skip
    assert [n for first, last in bounds for n in range(first, last + 1)] == list(range(64))
    assert len({s["VITALVEIL_INGEST_SESSION_CLIENT_ID"] for s in shares}) == workers
    assert _worker().environment(workers, workers) is None
    assert _worker().environment(0, 65) is None


class _Cluster:
    """A cluster's API for the scale, over real HTTP."""

    def __init__(self, folder: Path) -> None:
        self.replicas: int | None = 2
        self.asked: list[tuple[str, str | None]] = []
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster.asked.append((self.path, self.headers["Authorization"]))
                known = cluster.replicas is not None
                self.send_response(200 if known else 503)
                self.end_headers()
                self.wfile.write(json.dumps({"spec": {"replicas": cluster.replicas}}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.account = folder / "account"
        self.account.mkdir()
        (self.account / "namespace").write_text("vitalveil\n")
        (self.account / "token").write_text("secret\n")

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[_Cluster]:
    """A cluster that wants two workers."""
    made = _Cluster(tmp_path)
    yield made
    made.stop()


class _Pod:
    """Worker 1, whose ingest records the share that it was started with."""

    def __init__(self, cluster: _Cluster, folder: Path) -> None:
        self.told = folder / "told"
        program = folder / "ingest.py"
        program.write_text(_TELL)
        self.process = subprocess.Popen(
            [sys.executable, str(_FOLDER / "worker.py"), "--api", cluster.url, "--account",
             str(cluster.account), "--every", "0.1", "--", sys.executable, str(program),
             str(self.told)],
            env={"HOSTNAME": "ingest-1"}, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def shares(self) -> list[str]:
        return self.told.read_text().splitlines() if self.told.exists() else []


@pytest.fixture
def pod(cluster: _Cluster, tmp_path: Path) -> Iterator[_Pod]:
    """A running pod."""
    made = _Pod(cluster, tmp_path)
    yield made
    # Not killed, because its ingest would then continue for ever.
    made.process.terminate()
    made.process.wait(timeout=60)


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


def test_a_worker_takes_its_new_share_when_the_scale_changes(cluster: _Cluster, pod: _Pod) -> None:
    """
    With two, four and one workers the pod takes the upper half, the second quarter and
    no share.
    """
    _until(lambda: pod.shares() == ["ingest-1-of-2 32 63"])
    cluster.replicas = 4
    _until(lambda: pod.shares()[1:] == ["ingest-1-of-4 16 31"])
    cluster.replicas = 1
    asked = len(cluster.asked)
    _until(lambda: len(cluster.asked) > asked + 3)
    assert pod.process.poll() is None
    assert len(pod.shares()) == 2
    cluster.replicas = 2
    _until(lambda: len(pod.shares()) == 3)
    path = "/apis/apps/v1/namespaces/vitalveil/statefulsets/ingest/scale"
    assert set(cluster.asked) == {(path, "Bearer secret")}


def test_a_cluster_that_does_not_answer_changes_nothing(cluster: _Cluster, pod: _Pod) -> None:
    """While the cluster does not answer, the worker continues with the last known number."""
    _until(lambda: len(pod.shares()) == 1)
    cluster.replicas = None
    asked = len(cluster.asked)
    _until(lambda: len(cluster.asked) > asked + 3)
    assert pod.process.poll() is None
    assert pod.shares() == ["ingest-1-of-2 32 63"]


def test_a_worker_ends_as_ingest_ends(cluster: _Cluster, pod: _Pod) -> None:
    """If ingest ends by itself, the pod ends with its exit code."""
    _until(lambda: len(pod.shares()) == 1)
    pod.told.with_name("told.end").touch()
    assert pod.process.wait(timeout=60) == 3


def test_a_worker_that_is_told_to_stop_stops_ingest_first(cluster: _Cluster, pod: _Pod) -> None:
    """When the pod is stopped, it stops ingest first, and exits with ingest's exit code."""
    _until(lambda: len(pod.shares()) == 1)
    pod.process.send_signal(signal.SIGTERM)
    assert pod.process.wait(timeout=60) == 0
