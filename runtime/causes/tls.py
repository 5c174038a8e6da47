"""Causes of errors of TLS: what this side says of the other's certificate, and what it is told."""

import ssl
from collections.abc import Mapping
from typing import Final

from runtime.causes.cause import Cause

_OUR_CA: Final = (
    "Use the ca.crt of the installation to which {peer} belongs (`vitalveil trust pki init` made"
    " both), and check that the host and the port are those of {peer}."
)
_RENEW: Final = "Issue a new certificate: docs/howto/rotate-keys.md."
_LIST: Final = (
    "`vitalveil trust run` writes the revocation list daily into certificates.crl_file; then let"
    " the broker read it again (`systemctl reload mosquitto`)."
)
_CLOCK: Final = "Check the clocks of both machines (NTP)."

# X509_V_ERR_... of OpenSSL's x509_vfy.h.
_OF_THEIRS: Final[Mapping[int, Cause]] = {
    **dict.fromkeys(
        (2, 18, 19, 20, 21, 27),
        Cause("the certificate of {peer} is not from the authority in ca_file", _OUR_CA, True),
    ),
    9: Cause("the certificate of {peer} is not valid yet", _CLOCK),
    10: Cause("the certificate of {peer} has expired", f"{_RENEW} {_CLOCK}", True),
    3: Cause(
        "the revocation list of the authority is missing",
        _LIST,
        True,
    ),
    12: Cause(
        "the revocation list of the authority has expired",
        _LIST,
        True,
    ),
    23: Cause("the certificate of {peer} is revoked", _RENEW, True),
    24: Cause("ca_file holds a certificate that is not of an authority", _OUR_CA, True),
    26: Cause(
        "the certificate of {peer} is not made for a server",
        "Give {peer} the certificate that `vitalveil trust pki init` made for it.",
        True,
    ),
    **dict.fromkeys(
        (62, 64),
        Cause(
            "the certificate of {peer} is for another host name than the one in the settings",
            "Set the host to a name in that certificate, or issue it for this name"
            " (`vitalveil trust pki init --broker-host NAME`).",
            True,
        ),
    ),
}
_THEIRS: Final = Cause("the certificate of {peer} cannot be verified", _OUR_CA, True)

_REFUSES: Final = "{peer} refuses the certificate of this program"
_ALERTS: Final[Mapping[str, Cause]] = {
    "UNKNOWN_CA": Cause(
        f"{_REFUSES}: it is from an authority that {{peer}} does not know",
        "Use a certificate of the same authority on both sides, and let {peer} read its ca.crt"
        " again.",
        True,
    ),
    "CERTIFICATE_REVOKED": Cause(
        f"{_REFUSES}: it is revoked",
        "If that is a mistake, enrol this program or gateway again: a revocation is for good.",
        True,
    ),
    "CERTIFICATE_EXPIRED": Cause(
        f"{_REFUSES}: it has expired, or the revocation list of {{peer}} has",
        f"{_RENEW} {_CLOCK} For the list: {_LIST}",
        True,
    ),
    "BAD_CERTIFICATE": Cause(
        _REFUSES, "Look into the log of {peer}, which says what is wrong with it.", True
    ),
    "CERTIFICATE_UNKNOWN": Cause(
        _REFUSES, "Look into the log of {peer}, which says what is wrong with it.", True
    ),
    "UNSUPPORTED_CERTIFICATE": Cause(
        f"{_REFUSES}: it is not made for a client",
        "Use the certificate that `vitalveil trust pki init` or the enrolment made for it.",
        True,
    ),
    "ACCESS_DENIED": Cause(_REFUSES, "Look into the log of {peer}.", True),
    "CERTIFICATE_REQUIRED": Cause(
        "{peer} asks for a certificate, and this program has shown none",
        "Set certificate_file and key_file.",
        True,
    ),
    "DECRYPT_ERROR": Cause(
        f"{_REFUSES}: its signature does not verify",
        "Use certificate and ca.crt from the same run of `vitalveil trust pki init`.",
        True,
    ),
    "PROTOCOL_VERSION": Cause(
        "{peer} does not speak TLS 1.3", "Set `tls_version tlsv1.3` at {peer}.", True
    ),
    "HANDSHAKE_FAILURE": Cause(
        "{peer} accepts none of the ciphers or keys of this program",
        "Let {peer} use TLS 1.3 with its usual ciphers and Ed25519 certificates.",
        True,
    ),
    "INTERNAL_ERROR": Cause("{peer} reports an internal error", "Look into its log."),
    "UNRECOGNIZED_NAME": Cause(
        "{peer} does not know the host name in the settings", "Correct the host.", True
    ),
}
_NO_TLS: Final = Cause(
    "{peer} does not speak TLS on that port",
    "Check the port: 8883 for MQTT over TLS, 8443 for the enrolment service.",
    True,
)
_ENDED: Final = Cause(
    "{peer} ended the connection during the TLS handshake",
    "Look into the log of {peer}: it may refuse this certificate, or not speak TLS on that port.",
)


def of_tls(error: ssl.SSLError, peer: str = "the server") -> Cause:
    """
    Return the cause of *error*, without its text, which names the host.

    Args:
        error: The error of a TLS handshake or connection.

        peer: The other side, with its article: `the broker`.
    """
    cause = _of(error)
    return Cause(cause.text.format(peer=peer), cause.remedy.format(peer=peer), cause.is_permanent)


def _of(error: ssl.SSLError) -> Cause:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _OF_THEIRS.get(getattr(error, "verify_code", 0), _THEIRS)
    reason = str(error.reason or "")
    _, is_alert, alert = reason.partition("ALERT_")
    if is_alert and alert in _ALERTS:
        return _ALERTS[alert]
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return _NO_TLS
    if reason in ("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"):
        return _ALERTS["PROTOCOL_VERSION"]
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or "EOF" in reason:
        return _ENDED
    # The reasons of OpenSSL are constants.
    return Cause(
        f"the TLS connection to {{peer}} failed ({reason or 'without a reason'})",
        "Look into the log of {peer}, and compare the certificates and the TLS version of both"
        " sides.",
    )
