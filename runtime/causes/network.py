"""Causes of errors of name resolution and of TCP connections."""

import errno
import os
import re
import socket
from collections.abc import Mapping
from typing import Final

from runtime.causes.cause import Cause

_SEVERAL: Final = re.compile(r"\[Errno (\d+)\]")
"""asyncio and uvloop put the errors of several addresses of one name into one text."""
_ROUTE: Final = "Check the network of this machine, its routes, and a VPN if there is one."

_BY_NUMBER: Final[Mapping[int, Cause]] = {
    errno.ECONNREFUSED: Cause(
        "the machine of {peer} answers, but nothing listens on that port",
        "Start {peer}, or check the host and the port in the settings.",
    ),
    errno.ETIMEDOUT: Cause(
        "{peer} does not answer in time",
        "Check the host and the port, whether {peer} runs, and the firewalls on the way.",
    ),
    errno.EHOSTUNREACH: Cause("no route leads to the machine of {peer}", _ROUTE),
    errno.ENETUNREACH: Cause("no route leads to the network of {peer}", _ROUTE),
    errno.ENETDOWN: Cause("the network of this machine is down", _ROUTE),
    errno.EHOSTDOWN: Cause("the machine of {peer} is down", "Start that machine."),
    errno.ECONNRESET: Cause(
        "{peer} or a firewall ended the connection",
        "Look into the log of {peer}: it may refuse this client, or have been restarted.",
    ),
    errno.ECONNABORTED: Cause(
        "the connection to {peer} was ended on the way",
        "Look into the log of {peer}: it may refuse this client, or have been restarted.",
    ),
    errno.EPIPE: Cause(
        "{peer} has closed the connection",
        "Look into the log of {peer}: it may refuse this client, or have been restarted.",
    ),
    errno.EADDRINUSE: Cause(
        "another program listens on that address",
        "Stop the other program (`ss -ltnp` names it), or set another port.",
        True,
    ),
    errno.EADDRNOTAVAIL: Cause(
        "this machine has no such address",
        "Set a host that is an address of this machine: 127.0.0.1, or 0.0.0.0 for all.",
        True,
    ),
    errno.EACCES: Cause(
        "this user may not open that connection or port",
        "Choose a port above 1023, and check the firewall of this machine and the sandbox of the"
        " unit (RestrictAddressFamilies=, IPAddressDeny=).",
        True,
    ),
    errno.EAFNOSUPPORT: Cause(
        "this machine does not speak that kind of address (IPv4 or IPv6)",
        "Name the host by an address of the other kind.",
        True,
    ),
    errno.EMFILE: Cause(
        "this process has too many open files and connections",
        "Raise its limit (LimitNOFILE= of its unit, ulimit -n).",
    ),
}
_BY_NAME: Final[Mapping[int, Cause]] = {
    socket.EAI_NONAME: Cause(
        "the host name of {peer} cannot be resolved: DNS has no such name",
        "Check the name in the settings, and that the DNS of this machine knows it.",
        True,
    ),
    socket.EAI_AGAIN: Cause(
        "the host name of {peer} cannot be resolved: DNS does not answer",
        "Check the network and the name servers of this machine (/etc/resolv.conf).",
    ),
}
_BY_CLASS: Final = (
    (TimeoutError, errno.ETIMEDOUT),
    (ConnectionRefusedError, errno.ECONNREFUSED),
    (ConnectionResetError, errno.ECONNRESET),
    (ConnectionAbortedError, errno.ECONNABORTED),
    (BrokenPipeError, errno.EPIPE),
)
_NAME: Final = Cause(
    "the host name of {peer} cannot be resolved",
    "Check the name in the settings, and the DNS of this machine.",
)


def of_connection(error: OSError, peer: str = "the server") -> Cause:
    """
    Return the cause of *error*, without its text, which names the address.

    Args:
        error: The error of a name resolution, a connection or a listening socket; not of TLS.

        peer: The other side, with its article: `the broker`.
    """
    if isinstance(error, socket.gaierror):
        return _named(_BY_NAME.get(error.errno or 0, _NAME), peer)
    number = error.errno
    if number is None:
        # asyncio raises some of these itself, without a number.
        number = next((n for kind, n in _BY_CLASS if isinstance(error, kind)), None)
    if number is None and (several := _SEVERAL.findall(str(error))):
        number = int(several[-1])
    if number is None:
        return _named(
            Cause("the connection to {peer} failed", "Check that {peer} runs, and its log."), peer
        )
    if number in _BY_NUMBER:
        return _named(_BY_NUMBER[number], peer)
    name = errno.errorcode.get(number, str(number))
    text = f"the connection to {peer} failed with {name} ({os.strerror(number)})"
    return Cause(text, "Check the network and the log of the kernel (dmesg).")


def _named(cause: Cause, peer: str) -> Cause:
    return Cause(cause.text.format(peer=peer), cause.remedy.format(peer=peer), cause.is_permanent)
