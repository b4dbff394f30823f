"""Motion JPEG and snapshots over HTTP: each picture a whole JPEG that is decoded only when it is wanted.

Read here instead of by the decoder's own HTTP: status codes say why a camera does not open, time-outs hold, and a
change of size or subsampling in mid-stream reaches each picture alone.
"""

import http.client
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

from ..causes import Cause, cause_of_error
from ..media.jpeg import JpegFinder
from .address import CameraAddress
from .http_auth import basic_login, cause_of_status, challenges_by_scheme, digest_login
from .rtsp_describe import (
    MAX_ROUNDS,
    TLS_ALERT,
    AnswerTimeout,
    SourceFailed,
    cause_of_silence,
    connect,
    redirected,
)

MAX_PICTURE = 32 << 20  # bytes of one JPEG
PIECE = 1 << 16  # bytes that are read at once
DOUBT_SHARE = 0.8  # of the time without a frame, after which bytes that are no picture are told
SNAPSHOT_SECONDS = 1.0  # between two questions for the picture of an address that gives one at a time
TEXT_TYPES = ("application/json", "application/xml", "application/xhtml+xml", "application/javascript")


def jpegs(address: CameraAddress, timeout: AnswerTimeout, read_timeout: float) -> Iterator[bytes]:
    """Yield each picture's bytes as they arrive; SourceFailed with the cause. Ends where the server ends.

    An address that gives one picture, as `/snapshot.jpg`, is asked again once a second.
    """
    while True:
        began = time.monotonic()
        with closing(_open(address, timeout, read_timeout)) as response:
            kind = response.headers.get_content_type()
            if response.headers.get("Content-Type") and (kind.startswith("text/") or kind in TEXT_TYPES):
                raise SourceFailed(Cause.WEB_PAGE)
            try:
                yield from _pictures(response, kind.startswith("image/"), read_timeout)
            except TimeoutError as error:
                raise SourceFailed(Cause.STALLED) from error
            except (OSError, http.client.HTTPException):
                return  # cut off: an end like any other
        if not kind.startswith("image/"):
            return
        time.sleep(max(0.0, began + SNAPSHOT_SECONDS - time.monotonic()))


def _pictures(response: http.client.HTTPResponse, single: bool, read_timeout: float) -> Iterator[bytes]:
    """Yield the pictures of one answer. SourceFailed where bytes come for `read_timeout` seconds, but no picture."""
    if single:
        yield response.read(MAX_PICTURE)
        return
    finder, seen_at = JpegFinder(MAX_PICTURE), time.monotonic()
    while data := response.read1(PIECE):
        for picture in finder.feed(data):
            seen_at = time.monotonic()
            yield picture
        if time.monotonic() - seen_at > DOUBT_SHARE * read_timeout:  # before the process counts as hung
            raise SourceFailed(Cause.CODEC)


def _open(address: CameraAddress, timeout: AnswerTimeout, read_timeout: float) -> http.client.HTTPResponse:
    """Return the answer to GET, its body unread, after redirects within the camera's host.

    Basic login is tried at once, Digest where it is asked for.
    """
    user, password = address.user, address.password or ""
    login = None if user is None else basic_login(user, password)
    for _ in range(MAX_ROUNDS):
        response = _get(address, login, timeout, read_timeout)
        if response.status == 200:
            return response
        response.close()  # some cameras close a connection after a 401 themselves
        offered = challenges_by_scheme(response.headers.get_all("www-authenticate", []))
        if 300 <= response.status < 400 and (target := response.headers.get("location")):
            address, login = redirected(address, target), None if user is None else basic_login(user, password)
        elif response.status == 401 and user is not None and "digest" in offered and not (login or "").startswith("D"):
            login = digest_login(offered["digest"], "GET", _target(address), user, password)
        else:
            raise SourceFailed(cause_of_status(response.status))
    raise SourceFailed(Cause.REDIRECTED)


def _target(address: CameraAddress) -> str:
    parts = urlsplit(address.location)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _get(
    address: CameraAddress, login: str | None, timeout: AnswerTimeout, read_timeout: float
) -> http.client.HTTPResponse:
    lines = [f"GET {_target(address)} HTTP/1.1", f"Host: {address.authority}", "User-Agent: rarefault"]
    lines += [f"Authorization: {login}"] if login else []
    with connect(address, timeout.answer_seconds) as link:  # the response keeps the connection until it is closed
        response = http.client.HTTPResponse(link, method="GET")
        try:
            link.sendall("\r\n".join((*lines, "", "")).encode())
            _await_answer(link, timeout)
            response.begin()
            link.settimeout(read_timeout)
        except (OSError, http.client.HTTPException) as error:
            response.close()
            raise SourceFailed(_cause_of_no_answer(address, error, timeout)) from error
    return response


def _cause_of_no_answer(address: CameraAddress, error: Exception, timeout: AnswerTimeout) -> Cause:
    """Return what came in place of an HTTP answer: silence, an end, TLS, or another protocol."""
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        if not str(error).startswith(TLS_ALERT.decode("latin-1")):
            return Cause.WRONG_SERVICE
    elif isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        return Cause.WRONG_SERVICE
    elif (cause := cause_of_error(error)) is not Cause.CLOSED:
        return cause
    return cause_of_silence(address, timeout.answer_seconds)


def _await_answer(link: socket.socket, timeout: AnswerTimeout) -> None:
    """Wait until something comes; silence is reported once, then waited out. TimeoutError where nothing comes."""
    link.settimeout(timeout.answer_seconds)
    if select.select([link], [], [], timeout.answer_seconds)[0]:
        return
    timeout.on_silence()
    if not select.select([link], [], [], timeout.extra_seconds)[0]:
        raise TimeoutError
