"""
The HTTP interface of enrolment: the door of Litestar.

Answers say as little as possible; no request is logged, and no answer repeats what was sent.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

import msgspec
from cryptography import x509
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from runtime.logs import Log, describe
from trust.desk import Admitted, BadRequest, Desk, NotAccepted
from trust.errors import TrustError, Unavailable
from trust.metrics import DeskMetrics
from trust.throttle import Throttle

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

PEER: Final = "vitalveil.peer"
"""Where the server puts the certificate that TLS verified, DER, into the scope of a request."""
MAX_BODY_BYTES: Final = 16_384
_RETRY_AFTER_S: Final = 60
_log: Final = Log("trust.desk")


class Enrolling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends that has a token."""

    token: str
    request: str
    """PKCS #10, PEM."""
    lease_key: bytes | None = None
    """X25519, raw, in base64; needed unless the gateway speaks JSON."""

    def __repr__(self) -> str:
        return "Enrolling(…)"


class Renewing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends that shows its certificate."""

    request: str


class Bundle(msgspec.Struct, frozen=True):
    """What a gateway gets: all public."""

    agent: str
    certificate: str
    ca: str
    trust_key: str
    ingest_key: str


class Pinned(msgspec.Struct, frozen=True):
    """What every gateway pins, PEM."""

    ca: str
    trust_key: str
    ingest_key: str


class Limits(msgspec.Struct, frozen=True):
    """How often one address, and everybody together, may try."""

    each: Throttle
    all: Throttle


class _TooMany(HTTPException):
    status_code = 429


def build(
    desk: Desk,
    pinned: Pinned,
    limits: Limits,
    metrics: DeskMetrics,
    thread: ThreadPoolExecutor,
) -> Litestar:
    """
    Return the application.

    Args:
        desk: Does the work; used from *thread* alone.

        pinned: Goes with every certificate.

        limits: How often may be tried.

        metrics: Counts outcomes.

        thread: One worker: connections to the databases are not shared.
    """

    async def at_the_desk(request: AnyRequest, what: str, work: Callable[[], Admitted]) -> Bundle:
        caller = request.client.host if request.client else ""
        now = time.monotonic()
        # The address first, so that one who is stopped does not use up what all have.
        if not (limits.each.allows(caller, now=now) and limits.all.allows("", now=now)):
            metrics.count(what, "throttled")
            raise _TooMany
        try:
            admitted = await asyncio.get_running_loop().run_in_executor(thread, work)
        except TrustError as exc:
            metrics.count(what, _OUTCOMES.get(type(exc), "failed"))
            raise
        metrics.count(what, "admitted")
        _log.info(what)
        return Bundle(
            admitted.agent,
            admitted.certificate.decode(),
            pinned.ca,
            pinned.trust_key,
            pinned.ingest_key,
        )

    @post("/v1/enrol", status_code=200)
    async def enrol(data: Enrolling, request: AnyRequest) -> Bundle:
        return await at_the_desk(
            request,
            "enrolled",
            lambda: desk.enrol(
                data.token, request=data.request.encode(), lease_key=data.lease_key
            ),
        )

    @post("/v1/renew", status_code=200)
    async def renew(data: Renewing, request: AnyRequest) -> Bundle:
        shown = _shown(request)
        return await at_the_desk(
            request, "renewed", lambda: desk.renew(shown, request=data.request.encode())
        )

    @get("/livez", media_type=MediaType.TEXT)
    async def livez() -> str:
        return "alive\n"

    handlers: list[ControllerRouterHandler] = [enrol, renew, livez]
    return Litestar(
        handlers,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=cast("OpenAPIConfig | None", None),
        exception_handlers=_HANDLERS,
        logging_config=None,
        debug=False,
    )


def _shown(request: AnyRequest) -> x509.Certificate:
    der = cast("dict[str, Any]", request.scope).get(PEER)
    if der is None:
        raise NotAccepted
    return x509.load_der_x509_certificate(der)


def _say(status: int, text: str, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response({"error": text}, status_code=status, headers=headers)


def _on_http(_request: AnyRequest, exc: HTTPException) -> Response[Any]:
    if exc.status_code == 429:
        headers = {"Retry-After": str(_RETRY_AFTER_S)}
        return _say(429, "too many attempts; try again later", headers)
    # Not its detail: that may quote what was sent.
    return _say(exc.status_code, "not a request that is understood here")


def _on_trust(_request: AnyRequest, exc: TrustError) -> Response[Any]:
    if isinstance(exc, NotAccepted):
        return _say(403, str(exc))
    if isinstance(exc, BadRequest):
        return _say(400, str(exc))
    if not isinstance(exc, Unavailable):
        _log.error("failed", error=describe(exc))
        return _say(500, "failed; the log of the service says more")
    _log.warning("out_of_reach", error=describe(exc))
    return _say(503, "not now; try again", {"Retry-After": "5"})


def _on_any(_request: AnyRequest, exc: Exception) -> Response[Any]:
    _log.error("failed", error=describe(exc))
    return _say(500, "failed; the log of the service says more")


_OUTCOMES: Final[dict[type[TrustError], str]] = {
    NotAccepted: "not_accepted",
    BadRequest: "bad_request",
}
_HANDLERS: Final = cast(
    "ExceptionHandlersMap",
    {HTTPException: _on_http, TrustError: _on_trust, Exception: _on_any},
)
