"""What the doctor of a gateway finds around the agent: its broker, its names and its BlueZ."""

import contextlib
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from edge_agent.config import AgentSettings, SensorSettings
from edge_agent.doctor import checks
from edge_agent.doctor.checks import Severity


@pytest.mark.parametrize(
    ("is_listening", "word"),
    [
        pytest.param(False, "nothing listens", id="nobody"),
        pytest.param(True, "does not speak TLS", id="no broker"),
    ],
)
def test_doctor_says_what_is_wrong_with_the_broker(
    settings: AgentSettings, is_listening: bool, word: str
) -> None:
    """
    A failure to reach the broker is reported with its cause, not with the name of an
    exception.
    """
    with contextlib.ExitStack() as stack:
        if is_listening:
            server = socket.create_server(("127.0.0.1", settings.broker.port))
            stack.callback(server.close)

            def answer() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
        found = {finding.what: finding for finding in checks.examine(settings)}["broker"]
    assert found.verdict is checks.Severity.BAD
    assert word in found.text


def test_doctor_knows_a_name_that_nobody_knows(settings: AgentSettings) -> None:
    """An unknown host name is distinguished from a host that does not answer."""
    broker = msgspec.structs.replace(settings.broker, host="broker.invalid")
    settings = msgspec.structs.replace(settings, broker=broker)
    found = {finding.what: finding for finding in checks.examine(settings)}["broker"]
    assert "cannot be resolved" in found.text


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        pytest.param("5.54", Severity.BAD, id="too old"),
        pytest.param("5.66", Severity.OK, id="tried"),
        pytest.param("5.82", Severity.WARNING, id="later"),
        pytest.param("nothing that is one", Severity.WARNING, id="no version"),
        pytest.param(None, Severity.WARNING, id="not installed"),
    ],
)
def test_doctor_judges_the_version_of_bluez(
    settings: AgentSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str | None,
    severity: Severity,
) -> None:
    """
    A BlueZ that is too old or above all tried versions is reported for a gateway with a
    radio.
    """
    program = tmp_path / "bluetoothd"
    if said is not None:
        program.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{said}'\n")
        program.chmod(0o755)
    monkeypatch.setattr(checks, "_BLUETOOTHD", (str(tmp_path / "missing"), str(program)))
    has_radio = msgspec.structs.replace(settings, sensors=SensorSettings(source="bluetooth"))
    found = {one.what: one for one in checks.examine(has_radio)}
    assert found["bluez"].verdict is severity
    assert found["python"].text.startswith("Python 3.")
