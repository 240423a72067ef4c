"""What is wrong with a broker that failed? Its error tells most; whether its port speaks TLS is asked here.

A port that speaks otherwise than its URL says fails by a lost connection or a time-out, which would
look as if it were away. What is sent to find out holds nothing of ours.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from urllib.parse import urlsplit

from workers.troubles import URL, Trouble, Unfit

PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
PLAIN = {"rediss": "redis", "amqps": "amqp"}
ASK_SECONDS = 2
QUESTION = b"PING\r\nPING\r\n"  # Redis answers it, and RabbitMQ says what it speaks
TLS_RECORDS = (0x15, 0x16)  # the first byte of what a server says that speaks TLS


def diagnosed(url: str, error: BaseException) -> Unfit:
    """Asks the broker only where its error may be due to that, which may take some seconds."""
    found = Unfit.by(error)
    advice = _advice(url) if found.trouble is Trouble.AWAY else None
    if advice is None:
        return found
    return Unfit(trouble=Trouble.SHUT_OUT, why=f"{found.why}; {advice}")


def _advice(url: str) -> str | None:
    """None where it speaks as the URL says, and where it does not tell."""
    parts = urlsplit(url)
    scheme, host = parts.scheme, parts.hostname or ""
    if not host:
        return None  # a socket of this machine
    at = (host, parts.port or PORTS[scheme])
    with contextlib.suppress(OSError):  # it is away, as its error said
        if scheme in PLAIN:
            if _answers_in_clear(at):
                return (
                    "it speaks no TLS at this port: name the one at which it does, or begin"
                    f" {URL} with {PLAIN[scheme]}://"
                )
        elif _speaks_tls(at):
            return (
                f"it speaks TLS at this port: begin {URL} with {scheme}s://, or name a port without"
            )
    return None


def _answers_in_clear(at: tuple[str, int]) -> bool:
    with socket.create_connection(at, ASK_SECONDS) as line:
        line.sendall(QUESTION)
        answer = line.recv(1)
    return bool(answer) and answer[0] not in TLS_RECORDS


def _speaks_tls(at: tuple[str, int]) -> bool:
    """Whoever it is: nothing is told to it, so nothing is verified."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(at, ASK_SECONDS) as line:
        try:
            asking.wrap_socket(line, server_hostname=at[0]).close()
        except ssl.SSLError as refused:
            return "ALERT" in (refused.reason or "")
    return True
