"""mosquitto as a child process: TLS 1.3, certificates on both sides, one rule per role."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from simulators.stack.child import Child, free_port, is_listening
from simulators.stack.errors import DidNotStart, NotInstalled

_ACL: Final = """\
# What no line here allows is forbidden. The user is the common name of the certificate.
user ingest
topic read vv1/obs/#
topic read vv1/state/+
topic write vv1/receipt/+
user trust
topic write vv1/lease/+
topic read vv1/state/+
pattern write vv1/obs/+/%u
pattern write vv1/state/%u
pattern read vv1/receipt/%u
pattern read vv1/lease/%u
"""

_CONFIGURATION: Final = """\
per_listener_settings false
listener {port} 127.0.0.1
cafile {pki}/ca.crt
certfile {pki}/broker.crt
keyfile {pki}/broker.key
crlfile {pki}/crl.pem
tls_version tlsv1.3
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl
persistence true
persistence_location {folder}/data/
autosave_interval 1800
persistent_client_expiration 14d
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 1000
max_packet_size {max_packet_bytes}
retain_available true
log_dest stdout
log_type error
log_type warning
log_type notice
connection_messages false
{user}
"""

# mosquitto cannot resume a TLS session of a client with a certificate, but sends each client two
# session tickets. They cost the broker a signature, and each client some kilobytes of memory.
_OPENSSL: Final = """\
openssl_conf = openssl_init
[openssl_init]
ssl_conf = ssl_module
[ssl_module]
system_default = tls
[tls]
NumTickets = 0
Options = -SessionTicket
"""


_VERSION: Final = re.compile(r"mosquitto version (\S+)", re.ASCII)


def _program() -> str | None:
    """Return the path of the broker's program; None if it is not installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Mosquitto(msgspec.Struct):
    """
    A broker on loopback.

    Args:
        folder: The private folder of the broker.

        pki: The folder with ca.crt, broker.crt, broker.key and crl.pem.

        port: The port to listen on; 0 chooses a free one at the first start.

        more_acl: Further lines of the access rules.

        max_packet_bytes: The largest packet that the broker accepts.
    """

    folder: Path
    pki: Path
    port: int = 0
    more_acl: str = ""
    max_packet_bytes: int = 131_072
    child: Child | None = None

    @property
    def data(self) -> Path:
        """The folder of sessions, retained and queued messages."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The path of its log."""
        return self.folder / "mosquitto.log"

    @property
    def pid_file(self) -> Path:
        """The file that holds the process id of the running broker."""
        return self.folder / "mosquitto.pid"

    @property
    def reload_command(self) -> list[str]:
        """The command that makes the broker read its revocation list and access rules again."""
        return ["sh", "-c", 'kill -HUP "$(cat "$0")"', str(self.pid_file)]

    def versions(self) -> dict[str, str]:
        """Return the version of the broker, by its name; nothing if the program does not say."""
        program = _program()
        if program is None:
            return {}
        try:
            told = subprocess.run(
                [program, "-h"], capture_output=True, timeout=10, check=False
            ).stdout.decode(errors="replace")
        except (OSError, subprocess.TimeoutExpired):
            return {}
        found = _VERSION.search(told)
        return {} if found is None else {"mosquitto": found[1]}

    def start(self) -> None:
        """
        Start the broker and wait until it listens.

        Raises:
            NotInstalled: There is no mosquitto on this machine.
            DidNotStart: The broker ended at once, or does not listen.
        """
        program = _program()
        if program is None:
            raise NotInstalled("mosquitto", "On Debian: apt-get install mosquitto.")
        self.data.mkdir(parents=True, exist_ok=True)
        chosen = self.port
        for attempt in range(5):
            self.port = chosen or free_port()
            child = Child(
                "mosquitto",
                [program, "-c", str(self._write_configuration())],
                log=self.log,
                environ={"OPENSSL_CONF": str(self._write_openssl())},
            )
            try:
                child.wait_until(lambda: is_listening(self.port), timeout_s=15)
            except DidNotStart:
                # Another process took the free port in the meantime.
                if chosen or attempt == 4:
                    raise
                continue
            self.child = child
            self.pid_file.write_text(str(child.pid))
            return

    def _write_configuration(self) -> Path:
        # As root, mosquitto would change to a user that cannot read the private folder.
        user = "user root" if os.geteuid() == 0 else ""
        (self.folder / "acl").write_text(_ACL + self.more_acl)
        (self.folder / "acl").chmod(0o600)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                max_packet_bytes=self.max_packet_bytes,
                port=self.port,
                pki=self.pki,
                folder=self.folder,
                user=user,
            )
        )
        return configuration

    def _write_openssl(self) -> Path:
        configuration = self.folder / "openssl.cnf"
        configuration.write_text(_OPENSSL)
        return configuration

    def stop(self) -> None:
        """Stop the broker, which saves its state first."""
        if self.child is not None:
            self.child.stop()
            self.child = None

    def kill(self) -> None:
        """Kill the broker, as a power cut would: state that is not saved is lost."""
        if self.child is not None:
            self.child.kill()
            self.child = None

    def save(self) -> None:
        """Make the broker write its state to disk now."""
        if self.child is not None:
            self.child.send(signal.SIGUSR1)

    def reload(self) -> None:
        """Make the broker read its access rules and revocation list again."""
        if self.child is not None:
            self.child.send(signal.SIGHUP)

    def wipe(self) -> None:
        """Delete the state of the broker, which must be stopped."""
        shutil.rmtree(self.data, ignore_errors=True)
