"""The command `trust serve`: the enrolment service, over HTTPS."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from runtime import http
from runtime.errors import ConfigError
from runtime.logs import Log
from runtime.process import stop_requested
from trust import startup
from trust.composition import App
from trust.config import ServeSettings, Settings
from trust.enrolment import api, https_server
from trust.enrolment.enrolment import ingest_pem
from trust.enrolment.throttle import Throttle
from trust.keys import file_keys
from trust.metrics import EnrolmentMetrics

_log = Log("trust.enrolment.service")
_ALL = 10
"""All unknown networks together may make this many times the attempts of one network."""


def run(settings: Settings) -> int:
    """
    Run the service until it is asked to stop; return the exit code.

    Raises:
        KeyFileError: A key is missing or damaged.
        ConfigError: A setting is wrong.
    """
    if settings.serve is None:
        raise ConfigError(
            key="serve",
            source="settings",
            problem="it is not set",
            remedy="Add [serve] with certificate_file, key_file, ca_file and ingest_key_file.",
        )
    chosen = settings.serve
    https_server.context(chosen)
    opened = App(settings)
    metrics = EnrolmentMetrics()
    # One worker: a cancelled call ends before another call uses the connections.
    thread = ThreadPoolExecutor(1, thread_name_prefix="enrolment")
    limits = api.Limits(
        Throttle(burst=chosen.burst, per_minute=chosen.per_minute),
        Throttle(burst=_ALL * chosen.burst, per_minute=_ALL * chosen.per_minute),
        Throttle(burst=chosen.burst, per_minute=chosen.per_minute),
    )
    application = api.build(
        opened.enrolment_service, pinned(opened, chosen), limits, metrics, thread
    )

    waits_for = {"vault"}

    def missing() -> Iterable[str]:
        return waits_for

    async def serve() -> None:
        async with stop_requested() as stop:
            if not await startup.wait(settings, stop):
                return
            waits_for.clear()
            await https_server.serve(application, chosen, stop)

    try:
        with http.serve(chosen.http, metrics.registry, missing=missing) as port:
            _log.info("started", http_port=port, port=chosen.port)
            asyncio.run(serve())
    finally:
        thread.shutdown()
        opened.close()
    _log.info("stopped")
    return 0


def pinned(opened: App, settings: ServeSettings) -> api.Pinned:
    """
    Return the authority's certificate and the keys of trust and ingest, which gateways pin.

    Raises:
        KeyFileError: The public key of ingest is missing, or is of another kind.
    """
    pem = ingest_pem(settings.ingest_key_file)
    return api.Pinned(
        opened.authority.certificate_pem().decode(),
        file_keys.public_pem(opened.keys.public_key).decode(),
        pem.decode(),
    )
