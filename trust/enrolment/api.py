"""
The HTTP interface of enrolment, and the only module that imports Litestar.

Answers carry as little detail as possible. No request is logged, and no answer repeats its
content.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec
from cryptography import x509
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from runtime.logs import Log, describe
from trust.enrolment.service import (
    Admitted,
    BadRequest,
    EnrolmentService,
    NotAccepted,
    RenewedBefore,
)
from trust.enrolment.throttle import Throttle, network_of
from trust.errors import TrustError, Unavailable
from trust.metrics import EnrolmentMetrics

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

PEER: Final = "vitalveil.peer"
"""The key of the request's scope under which the server stores the verified certificate (DER)."""
MAX_BODY_BYTES: Final = 16_384
_log: Final = Log("trust.enrolment.service")


class Enrolling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request of a gateway that enrols with a token."""

    token: str
    request: str
    """The certificate request: PKCS #10 in PEM."""
    lease_key: bytes | None = None
    """The raw X25519 public key in base64; required unless the gateway sends JSON."""

    def __repr__(self) -> str:
        return "Enrolling(…)"


class Renewing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request of a gateway that renews its certificate."""

    request: str


class Bundle(msgspec.Struct, frozen=True):
    """The answer to a gateway. Everything in it is public."""

    agent: str
    certificate: str
    ca: str
    trust_key: str
    ingest_key: str


class Pinned(msgspec.Struct, frozen=True):
    """The public keys and certificates that every gateway pins, in PEM."""

    ca: str
    trust_key: str
    ingest_key: str


class TooMany(HTTPException):
    """
    The caller has no attempt left.

    Args:
        whose: The group of callers whose attempts are counted together.

        wait_s: Seconds until the next attempt is allowed.
    """

    status_code = 429

    def __init__(self, whose: str, *, wait_s: int) -> None:
        super().__init__()
        self.sentence = f"too many attempts {whose}; try again in {wait_s} s"
        self.wait_s = wait_s


class Limits(msgspec.Struct, frozen=True):
    """The limits on attempts."""

    each: Throttle
    """For each network, for requests without a certificate."""
    all: Throttle
    """For all networks together, for requests without a certificate."""
    renewals: Throttle
    """For each certificate. Callers without a certificate cannot use these attempts up."""

    def take(self, address: str, certificate: bytes | None, *, now: float) -> None:
        """
        Count one attempt from *address*, made with *certificate*, at time *now* (seconds).

        Raises:
            TooMany: No attempt is left.
        """
        if certificate is not None:
            shown = hashlib.sha256(certificate).hexdigest()
            _take(self.renewals, shown, whose="with this certificate", now=now)
            return
        # The network is checked first, so that a blocked network does not use up the common limit.
        _take(self.each, network_of(address), whose="from this network", now=now)
        _take(self.all, "", whose="of all gateways without a certificate together", now=now)


def _take(throttle: Throttle, caller: str, *, whose: str, now: float) -> None:
    if not throttle.allows(caller, now=now):
        raise TooMany(whose, wait_s=max(1, throttle.wait_s(caller, now=now)))


class _NotJson(HTTPException):
    status_code = 415


def decode(body: bytes, kind: type[T]) -> T:
    """
    Decode *body* as a request of *kind*: one flat JSON object with unique names.

    Raises:
        BadRequest: The body has another form. The error quotes nothing of the body.
    """
    # No valid text contains brackets, so nesting is refused before the parser descends into it.
    if body.count(b"{") != 1 or b"[" in body:
        raise BadRequest("not one flat JSON object")
    try:
        pairs = json.loads(body.decode(), object_pairs_hook=list)
        named = dict(pairs)
        if len(named) < len(pairs):
            raise BadRequest("a name stands twice in the JSON object")
        # Certificate requests, tokens and base64 keys are ASCII.
        if not all(str(value).isascii() for value in named.values()):
            raise BadRequest("a value is not plain ASCII text")
        return msgspec.convert(named, kind)
    except (ValueError, TypeError, RecursionError, msgspec.ValidationError):
        raise BadRequest("not a JSON object with the fields that are asked for") from None


def build(
    enrolment_service: EnrolmentService,
    pinned: Pinned,
    limits: Limits,
    metrics: EnrolmentMetrics,
    thread: ThreadPoolExecutor,
) -> Litestar:
    """
    Build the HTTP application.

    Args:
        enrolment_service: The service that answers requests; only *thread* calls it.

        pinned: The keys and certificates that are sent with every certificate.

        limits: The limits on attempts.

        metrics: The counters of outcomes.

        thread: An executor with one worker, because threads may not share database connections.
    """

    async def in_the_thread(what: str, work: Callable[[], Admitted]) -> Bundle:
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
    async def enrol(request: AnyRequest) -> Bundle:
        data = await _asked(request, Enrolling, limits, partial(metrics.count, "enrolled"))
        return await in_the_thread(
            "enrolled",
            lambda: enrolment_service.enrol(
                data.token, request=data.request.encode(), lease_key=data.lease_key
            ),
        )

    @post("/v1/renew", status_code=200)
    async def renew(request: AnyRequest) -> Bundle:
        data = await _asked(request, Renewing, limits, partial(metrics.count, "renewed"))
        shown = _shown(request)
        return await in_the_thread(
            "renewed", lambda: enrolment_service.renew(shown, request=data.request.encode())
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


async def _asked(
    request: AnyRequest, kind: type[T], limits: Limits, count: Callable[[str], None]
) -> T:
    """Check the limits and decode the request; raise an HTTP error if either fails."""
    address = request.client.host if request.client else ""
    certificate = cast("dict[str, Any]", request.scope).get(PEER)
    try:
        limits.take(address, certificate, now=time.monotonic())
    except TooMany:
        count("throttled")
        raise
    try:
        if request.content_type[0] != "application/json":
            raise _NotJson
        return decode(await request.body(), kind)
    except (BadRequest, HTTPException):
        count("bad_request")
        raise


def _shown(request: AnyRequest) -> x509.Certificate:
    der = cast("dict[str, Any]", request.scope).get(PEER)
    if der is None:
        raise NotAccepted
    return x509.load_der_x509_certificate(der)


def _say(status: int, text: str, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response({"error": text}, status_code=status, headers=headers)


def _on_http(_request: AnyRequest, exc: HTTPException) -> Response[Any]:
    if isinstance(exc, TooMany):
        return _say(429, exc.sentence, {"Retry-After": str(exc.wait_s)})
    # The detail is left out, because it may quote the request.
    return _say(exc.status_code, _SENTENCES.get(exc.status_code, "not a request known here"))


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


_SENTENCES: Final = {
    404: "there are /v1/enrol and /v1/renew",
    405: "a gateway sends a POST",
    413: f"a request has at most {MAX_BODY_BYTES} bytes",
    415: "a request is application/json",
}
_OUTCOMES: Final[dict[type[TrustError], str]] = {
    NotAccepted: "not_accepted",
    RenewedBefore: "renewed_before",
    BadRequest: "bad_request",
}
_HANDLERS: Final = cast(
    "ExceptionHandlersMap",
    {HTTPException: _on_http, TrustError: _on_trust, Exception: _on_any},
)
