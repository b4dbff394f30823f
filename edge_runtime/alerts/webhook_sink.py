"""Events by HTTP POST, signed. The standard library is all it needs.

The receiver checks `X-Rarefault-Signature: sha256=HEX`, the HMAC-SHA256 of `X-Rarefault-Timestamp`, a dot, and the
body; refuses stamps that are too old; and tells repetitions by `X-Rarefault-Event`, which is the event's id.
"""

import contextlib
import hashlib
import hmac
import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, urlsplit

from ..bundle.errors import RarefaultError, UnavailableError
from ..causes import cause_of_error
from .outbox import Entry
from .settings import WebhookSection
from .sink import TAKEN, Answer, Verdict, answer_seconds, payload

TRANSIENT = (408, 425, 429)  # and all from 500
ABOUT_US = (401, 403, 404, 405, 407, 410)  # and all of 3xx: wrong settings, here or there, not a wrong event
SLOW_SECONDS = 300.0  # between tries where settings are wrong
LONGEST_WAIT = 3600.0  # seconds that a receiver may ask for
MAX_ANSWER = 1 << 16  # bytes


class WebhookSink:
    """Sends signed events to one address."""

    name = "webhook"

    def __init__(self, settings: WebhookSection, wall: Callable[[], float] = time.time) -> None:
        self._settings, self._wall = settings, wall
        self._connection: http.client.HTTPConnection | None = None
        self._closed = False

    def open(self) -> None:
        """Do nothing while the station runs, as no connection is kept between events."""
        if self._closed:
            raise UnavailableError("the webhook is left: the station stops")

    def check(self) -> None:
        """Connect, with TLS where the address says so, and leave without a request."""
        self._settings.secret()
        url = urlsplit(self._settings.address())
        try:
            with contextlib.closing(self._connect(url)) as connection:
                connection.connect()
        except (OSError, ValueError) as error:
            raise UnavailableError(_unreachable(error)) from None

    def send(self, entry: Entry) -> Answer:
        """POST the event; a status from 200 to 299 counts as taken."""
        body = payload(entry, self._settings.inline)
        try:
            status, wait = self._post(entry.id, body)
        except RarefaultError as error:  # of this device: a secret or a certificate that cannot be used
            return Answer(Verdict.UNREACHABLE, str(error))
        except OSError as error:
            return Answer(Verdict.UNREACHABLE, _unreachable(error))
        except http.client.HTTPException as error:  # its text may hold the address, which may be a secret
            return Answer(Verdict.UNREACHABLE, f"the webhook gives no proper answer ({type(error).__name__})")
        return http_answer(status, wait)

    def set_camera(self, camera: str, status: Mapping[str, str]) -> None:
        """Do nothing: a webhook gets no camera states; heartbeats hold them."""

    def close(self) -> None:
        """End a request that is under way."""
        self._closed = True
        self._abort()

    def _post(self, identity: str, body: bytes) -> tuple[int, float | None]:
        """POST the body; return the status, and the seconds of Retry-After."""
        url, secret = urlsplit(self._settings.address()), self._settings.secret()
        stamp = str(int(self._wall()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "rarefault-station",
            "X-Rarefault-Event": identity,
            "X-Rarefault-Timestamp": stamp,
            "X-Rarefault-Signature": f"sha256={signature(secret, stamp, body)}",
        }
        connection = self._connect(url)
        limit = threading.Timer(answer_seconds(self._settings.timeout, len(body)), self._abort)  # of the whole request
        limit.start()
        try:
            connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
            response = connection.getresponse()
            response.read(MAX_ANSWER)
            return response.status, _seconds(response.getheader("Retry-After"))
        finally:
            limit.cancel()
            connection.close()

    def _connect(self, url: SplitResult) -> http.client.HTTPConnection:
        host, timeout = url.hostname or "", self._settings.timeout
        if url.scheme == "https":
            context = self._settings.tls_context()
            self._connection = http.client.HTTPSConnection(host, url.port, timeout=timeout, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, url.port, timeout=timeout)
        return self._connection

    def _abort(self) -> None:
        connection = self._connection
        if connection is not None and (sock := connection.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _unreachable(error: Exception) -> str:
    """Return why; without the error's own text where that may hold the address, which may be a secret."""
    cause = cause_of_error(error)
    return f"the webhook cannot be reached: {cause.value}; {cause.advice}"


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Return the hexadecimal HMAC-SHA256 of `stamp`, a dot and `body`."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def http_answer(status: int, wait: float | None = None) -> Answer:
    """Return what an HTTP status says of the event. `wait`: seconds the receiver asked for."""
    if 200 <= status < 300:
        return TAKEN
    if status in ABOUT_US or 300 <= status < 400:
        reason = f"the webhook answers {status}; check its url and secret"
        return Answer(Verdict.UNREACHABLE, reason, SLOW_SECONDS)
    if status in TRANSIENT or status >= 500:
        return Answer(Verdict.UNREACHABLE, f"the webhook answers {status}", wait)
    return Answer(Verdict.REFUSED, f"the webhook answered {status}")


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header that is a number; a date is left to our own delays."""
    if text is None or not text.strip().isdigit():
        return None
    return min(float(text), LONGEST_WAIT)
