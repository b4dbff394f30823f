"""Motion JPEG over HTTP: one part after another, each a whole JPEG that is decoded only when it is wanted.

Read here instead of by the decoder's own HTTP: status codes say why a camera does not open, time-outs hold, and a
change of size or subsampling in mid-stream reaches each picture alone.
"""

import http.client
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

from ..causes import Cause
from .address import CameraAddress
from .http_auth import basic_login, cause_of_status, challenges_by_scheme, digest_login
from .rtsp_describe import AnswerTimeout, SourceFailed, connect

MAX_PART = 32 << 20  # bytes of one JPEG
LINE = 4096  # bytes of one header line


def jpegs(address: CameraAddress, timeout: AnswerTimeout, read_timeout: float) -> Iterator[bytes]:
    """Yield each part's bytes as they arrive; SourceFailed with the cause. Ends where the server ends."""
    with closing(_open(address, timeout, read_timeout)) as response:
        boundary = response.headers.get_boundary()
        if response.headers.get_content_maintype() != "multipart" or not boundary:
            raise SourceFailed(Cause.CODEC)
        try:
            yield from _parts(response, b"--" + boundary.removeprefix("--").encode())
        except TimeoutError as error:
            raise SourceFailed(Cause.STALLED) from error
        except (OSError, http.client.HTTPException):
            return  # cut off: an end like any other


def _link(address: CameraAddress, timeout: AnswerTimeout) -> socket.socket:
    link = connect(address, timeout.answer_seconds)
    if not address.location.startswith("https://"):
        return link
    import ssl  # 10 ms that few cameras need

    try:
        return ssl.create_default_context().wrap_socket(link, server_hostname=address.host)
    except OSError as error:
        link.close()
        # A certificate that this device does not trust stays so; any other end of the handshake may pass, as a reset.
        cause = Cause.MISCONFIGURED if isinstance(error, ssl.SSLCertVerificationError) else Cause.TIMEOUT
        raise SourceFailed(cause) from error


def _open(address: CameraAddress, timeout: AnswerTimeout, read_timeout: float) -> http.client.HTTPResponse:
    """Return the answer to GET, its body unread. Basic login is tried at once, Digest where it is asked for."""
    user, password = address.user, address.password or ""
    response = _get(address, None if user is None else basic_login(user, password), timeout, read_timeout)
    offered = challenges_by_scheme(response.headers.get_all("www-authenticate", []))
    if response.status == 401 and user is not None and "digest" in offered:
        response.close()  # some cameras close a connection after a 401 themselves
        login = digest_login(offered["digest"], "GET", _target(address), user, password)
        response = _get(address, login, timeout, read_timeout)
    if response.status != 200:
        response.close()
        raise SourceFailed(cause_of_status(response.status))
    return response


def _target(address: CameraAddress) -> str:
    parts = urlsplit(address.location)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _get(
    address: CameraAddress, login: str | None, timeout: AnswerTimeout, read_timeout: float
) -> http.client.HTTPResponse:
    lines = [f"GET {_target(address)} HTTP/1.1", f"Host: {address.host}:{address.port}", "User-Agent: rarefault"]
    lines += [f"Authorization: {login}"] if login else []
    with _link(address, timeout) as link:  # the response keeps the connection until it is closed itself
        response = http.client.HTTPResponse(link, method="GET")
        try:
            link.sendall("\r\n".join((*lines, "", "")).encode())
            _await_answer(link, timeout)
            response.begin()
            link.settimeout(read_timeout)
        except (OSError, http.client.HTTPException) as error:
            response.close()
            raise SourceFailed(Cause.TIMEOUT if isinstance(error, OSError) else Cause.CODEC) from error
    return response


def _await_answer(link: socket.socket, timeout: AnswerTimeout) -> None:
    """Wait until something comes; silence is reported once, then waited out. TimeoutError where nothing comes."""
    link.settimeout(timeout.answer_seconds)
    if select.select([link], [], [], timeout.answer_seconds)[0]:
        return
    timeout.on_silence()
    if not select.select([link], [], [], timeout.extra_seconds)[0]:
        raise TimeoutError


def _parts(response: http.client.HTTPResponse, delimiter: bytes) -> Iterator[bytes]:
    line = response.readline(LINE)
    while line:
        if not line.startswith(delimiter):
            line = response.readline(LINE)
            continue
        if line.rstrip() == delimiter + b"--":
            return
        length = _length(response)
        if length is None:
            data, line = _until(response, delimiter)
        else:
            data, line = response.read(length), response.readline(LINE)
            if len(data) < length:
                return
        yield data


def _length(response: http.client.HTTPResponse) -> int | None:
    """Read a part's header, and return its Content-Length where it names one."""
    found = None
    while header := response.readline(LINE).strip():
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            found = int(value)
    if found is not None and found > MAX_PART:
        raise SourceFailed(Cause.CODEC)
    return found


def _until(response: http.client.HTTPResponse, delimiter: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the next delimiter, and the delimiter's line."""
    data = bytearray()
    while (line := response.readline()) and not line.startswith(delimiter):
        data += line
        if len(data) > MAX_PART:
            raise SourceFailed(Cause.CODEC)
    return bytes(data), line
