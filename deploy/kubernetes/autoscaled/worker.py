"""
Runs ingest with this pod's share of the 64 shards; restarts it when the number of workers changes.

It uses only the standard library. The number of workers is the scale of the StatefulSet; while the
cluster does not answer, the last known number is used. Each share has its own session at the
broker, named after the share, because a session keeps every topic that it subscribed to. Messages
in a session that no worker resumes are not lost: gateways keep each envelope until its receipt,
and send it again.
"""

import argparse
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

SHARDS = 64
_TICK_S = 0.1
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def environment(number: int, workers: int) -> dict[str, str] | None:
    """Return the environment variables that set ingest's share; None for a worker without one."""
    if not number < workers <= SHARDS:
        return None
    return {
        "VITALVEIL_INGEST_SESSION_CLIENT_ID": f"ingest-{number}-of-{workers}",
        "VITALVEIL_INGEST_SESSION_FIRST_SHARD": str(number * SHARDS // workers),
        "VITALVEIL_INGEST_SESSION_LAST_SHARD": str((number + 1) * SHARDS // workers - 1),
    }


class Scale:
    """Reads from the cluster's API how many workers there should be."""

    def __init__(self, api: str, account: Path, name: str) -> None:
        namespace = (account / "namespace").read_text().strip()
        self._url = f"{api}/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}/scale"
        self._token = account / "token"
        is_tls = api.startswith("https:")
        self._tls = ssl.create_default_context(cafile=str(account / "ca.crt")) if is_tls else None

    def read(self) -> int | None:
        """Return the wanted number of workers; None if the API does not answer as expected."""
        # The token is read each time, because the cluster replaces it every hour.
        token = self._token.read_text().strip()
        wanted = urllib.request.Request(  # noqa: S310 - our own cluster's address
            self._url, headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(  # noqa: S310
                wanted, timeout=5, context=self._tls
            ) as reply:
                return int(json.load(reply)["spec"]["replicas"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.stderr.write(f"worker: the scale cannot be read ({type(error).__name__})\n")
            return None


class Worker:
    """Runs ingest as a child process with the share of this pod."""

    def __init__(self, number: int, scale: Scale, command: Sequence[str], every_s: float) -> None:
        self._number = number
        self._scale = scale
        self._command = command
        self._every_s = every_s
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._workers: int | None = None

    def stop(self, *_: object) -> None:
        """End ingest, and then this process."""
        self._stop.set()

    def run(self) -> int:
        """Run until stopped, or until ingest ends by itself; return the exit code."""
        while not self._stop.is_set():
            workers = self._scale.read()
            if workers is not None and workers != self._workers:
                self._end_child()
                self._start_child(workers)
            code = self._wait()
            if code is not None:
                return abs(code) or 1
        return self._end_child()

    def _wait(self) -> int | None:
        """Wait until the next query; return ingest's exit code if it ends before, else None."""
        for _ in range(max(1, round(self._every_s / _TICK_S))):
            if self._stop.wait(_TICK_S):
                return None
            code = None if self._child is None else self._child.poll()
            if code is not None:
                return code
        return None

    def _start_child(self, workers: int) -> None:
        self._workers = workers
        share = environment(self._number, workers)
        if share is not None:
            self._child = subprocess.Popen(self._command, env={**os.environ, **share})

    def _end_child(self) -> int:
        """End ingest gracefully, if it runs; return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return 0
        child.send_signal(signal.SIGTERM)
        return child.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker that *argv* describes; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="https://kubernetes.default.svc")
    parser.add_argument("--account", type=Path, default=_ACCOUNT)
    parser.add_argument("--scale-of", default="ingest", metavar="STATEFULSET")
    parser.add_argument("--every", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(argv)
    number = int(os.environ["HOSTNAME"].rpartition("-")[2])
    scale = Scale(given.api, given.account, given.scale_of)
    worker = Worker(number, scale, given.command, given.every)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, worker.stop)
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
