"""Motion JPEG over HTTP: one part after another, each a whole JPEG that is decoded only when it is wanted.

Read here instead of by the decoder's own HTTP: status codes say why a camera does not open, time-outs hold, and a
change of size or subsampling in mid-stream reaches each picture alone.
"""

import base64
import http.client
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

from ..causes import Cause
from .address import Source
from .rtsp_describe import AnswerTimeout, SourceFailed, connect, digest_login

MAX_PART = 32 << 20  # bytes of one JPEG
LINE = 4096  # bytes of one header line


def jpegs(source: Source, patience: AnswerTimeout, stall_seconds: float) -> Iterator[bytes]:
    """Yield each part's bytes as they arrive; SourceFailed with the cause. Ends where the server ends."""
    link, response = _open(source, patience)
    with closing(link), closing(response):
        boundary = response.headers.get_boundary()
        if response.headers.get_content_maintype() != "multipart" or not boundary:
            raise SourceFailed(Cause.CODEC)
        link.settimeout(stall_seconds)
        try:
            yield from _parts(response, b"--" + boundary.removeprefix("--").encode())
        except TimeoutError as error:
            raise SourceFailed(Cause.STALLED) from error
        except (OSError, http.client.HTTPException):
            return  # cut off: an end like any other


def _link(source: Source, patience: AnswerTimeout) -> socket.socket:
    link = connect(source, patience.answer_seconds)
    if not source.address.startswith("https://"):
        return link
    import ssl  # 10 ms that few cameras need

    try:
        return ssl.create_default_context().wrap_socket(link, server_hostname=source.host)
    except TimeoutError as error:
        link.close()
        raise SourceFailed(Cause.TIMEOUT) from error
    except OSError as error:  # a certificate that nobody vouches for, or no TLS at all
        link.close()
        raise SourceFailed(Cause.AUTH) from error


def _open(source: Source, patience: AnswerTimeout) -> tuple[socket.socket, http.client.HTTPResponse]:
    """The answer to GET, its body unread. Basic login at once; Digest where it is asked for."""
    login: str | None = None
    if source.user is not None:
        login = "Basic " + base64.b64encode(f"{source.user}:{source.password or ''}".encode()).decode()
    link, response = _get(source, login, patience)
    if response.status == 401 and source.user is not None and (challenge := _digest_challenge(response)) is not None:
        _close(link, response)  # some cameras do so themselves
        answer = digest_login(challenge, "GET", _target(source), source.user, source.password or "")
        link, response = _get(source, answer, patience)
    if response.status != 200:
        _close(link, response)
        raise SourceFailed(_cause_of(response.status))
    return link, response


def _close(link: socket.socket, response: http.client.HTTPResponse) -> None:
    response.close()
    link.close()


def _cause_of(status: int) -> Cause:
    if status in (401, 403):
        return Cause.AUTH
    if status in (404, 410):
        return Cause.NOT_FOUND
    return Cause.REFUSED if status >= 500 else Cause.CODEC


def _digest_challenge(response: http.client.HTTPResponse) -> str | None:
    for value in response.headers.get_all("www-authenticate", []):
        scheme, _, parameters = value.strip().partition(" ")
        if scheme.lower() == "digest":
            return parameters
    return None


def _target(source: Source) -> str:
    parts = urlsplit(source.address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _get(source: Source, login: str | None, patience: AnswerTimeout) -> tuple[socket.socket, http.client.HTTPResponse]:
    lines = [f"GET {_target(source)} HTTP/1.1", f"Host: {source.host}:{source.port}", "User-Agent: rarefault"]
    lines += [f"Authorization: {login}"] if login else []
    link = _link(source, patience)
    response = http.client.HTTPResponse(link, method="GET")
    try:
        link.sendall("\r\n".join((*lines, "", "")).encode())
        _await_answer(link, patience)
        response.begin()
    except (OSError, http.client.HTTPException) as error:
        _close(link, response)
        raise SourceFailed(Cause.TIMEOUT if isinstance(error, OSError) else Cause.CODEC) from error
    except SourceFailed:
        _close(link, response)
        raise
    return link, response


def _await_answer(link: socket.socket, patience: AnswerTimeout) -> None:
    """Until something comes; silence is reported once, then waited out."""
    link.settimeout(patience.answer_seconds)
    if select.select([link], [], [], patience.answer_seconds)[0]:
        return
    patience.on_silence()
    if not select.select([link], [], [], patience.extra_seconds)[0]:
        raise SourceFailed(Cause.TIMEOUT)


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
    """Reads a part's header; its Content-Length where it names one."""
    found = None
    while header := response.readline(LINE).strip():
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            found = int(value)
    if found is not None and found > MAX_PART:
        raise SourceFailed(Cause.CODEC)
    return found


def _until(response: http.client.HTTPResponse, delimiter: bytes) -> tuple[bytes, bytes]:
    """What comes before the next delimiter, and the delimiter's line."""
    data = bytearray()
    while (line := response.readline()) and not line.startswith(delimiter):
        data += line
        if len(data) > MAX_PART:
            raise SourceFailed(Cause.CODEC)
    return bytes(data), line
