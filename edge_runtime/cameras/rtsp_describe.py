"""Ask an RTSP camera for its stream's description, to learn in words why it would not open.

OpenCV only says "not opened". This asks first, on its own connection, with Basic and Digest login (RFC 7826, 7616).
"""

import base64
import hashlib
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..causes import Cause
from .address import Source

MAX_ANSWER = 64 << 10  # bytes of one answer
AUTH_ROUNDS = 2  # without login, then with it


class SourceFailed(Exception):
    """A source cannot be opened or read, and this is why. Never leaves the camera's process."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


@dataclass(frozen=True)
class AnswerTimeout:
    """`answer_seconds` until silence is reported through `on_silence`, then `extra_seconds` more without asking anew.

    A frozen camera that thaws answers what it was asked, so waiting on finds it at once.
    """

    answer_seconds: float
    extra_seconds: float
    on_silence: Callable[[], None]


def connect(source: Source, seconds: float) -> socket.socket:
    """A TCP connection to the source's host; SourceFailed with the cause."""
    try:
        return socket.create_connection((source.host, source.port), seconds)
    except TimeoutError as error:
        raise SourceFailed(Cause.TIMEOUT) from error
    except socket.gaierror as error:
        raise SourceFailed(Cause.NOT_FOUND) from error
    except ConnectionRefusedError as error:
        raise SourceFailed(Cause.REFUSED) from error
    except OSError as error:  # no route, network down
        raise SourceFailed(Cause.TIMEOUT) from error


def describe(source: Source, patience: AnswerTimeout) -> None:
    """Return where the camera describes its stream; SourceFailed where it does not."""
    login = ""
    for _ in range(AUTH_ROUNDS):
        with connect(source, patience.answer_seconds) as link:  # anew: some cameras close after a 401
            status, headers = _ask(link, source, login, patience)
        if status != 401:
            break
        login = authorization(headers, "DESCRIBE", source)
    if status != 200:
        raise SourceFailed(_cause_of(status))


def _cause_of(status: int) -> Cause:
    if status in (401, 403):
        return Cause.AUTH
    if status in (404, 410, 454):
        return Cause.NOT_FOUND
    return Cause.REFUSED if status >= 500 else Cause.CODEC


def _ask(link: socket.socket, source: Source, login: str, patience: AnswerTimeout) -> tuple[int, str]:
    """Status and header lines of the answer."""
    extra = f"Authorization: {login}\r\n" if login else ""
    request = f"DESCRIBE {source.address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n{extra}\r\n"
    try:
        link.sendall(request.encode())
        head = _read_head(link, patience)
    except OSError as error:  # reset, or shut down while we waited
        raise SourceFailed(Cause.TIMEOUT) from error
    match = re.match(r"RTSP/\d\.\d (\d{3})", head)
    if match is None:
        raise SourceFailed(Cause.CODEC)
    return int(match[1]), head


def _read_head(link: socket.socket, patience: AnswerTimeout) -> str:
    data = b""
    deadline = time.monotonic() + patience.answer_seconds
    reported = False
    while b"\r\n\r\n" not in data:
        if (left := deadline - time.monotonic()) <= 0:
            if reported:
                raise SourceFailed(Cause.TIMEOUT)
            reported = True
            patience.on_silence()
            deadline += patience.extra_seconds
            continue
        link.settimeout(left)
        try:
            piece = link.recv(4096)
        except TimeoutError:
            continue
        if not piece:
            raise SourceFailed(Cause.TIMEOUT)
        data += piece
        if len(data) > MAX_ANSWER:
            raise SourceFailed(Cause.CODEC)
    return data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")


def authorization(headers: str, method: str, source: Source) -> str:
    """The Authorization header's value that answers the challenge in `headers`; SourceFailed(AUTH) without a login."""
    user, password = source.user, source.password or ""
    challenges = re.findall(r"^www-authenticate:\s*(\w+)\s*(.*?)\s*$", headers, re.IGNORECASE | re.MULTILINE)
    if user is None or not challenges:
        raise SourceFailed(Cause.AUTH)
    offered = {scheme.lower(): parameters for scheme, parameters in reversed(challenges)}
    if "digest" in offered:
        return digest_login(offered["digest"], method, source.address, user, password)
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest_login(challenge: str, method: str, uri: str, user: str, password: str, cnonce: str | None = None) -> str:
    """A Digest answer (RFC 7616; MD5 or SHA-256, with or without qop=auth). `cnonce` is random unless given."""
    fields = {
        key.lower(): quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', challenge)
    }
    algorithm = fields.get("algorithm", "MD5")
    make = hashlib.sha256 if algorithm.upper().startswith("SHA-256") else hashlib.md5

    def hashed(*parts: str) -> str:
        return make(":".join(parts).encode()).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    secret, place = hashed(user, realm, password), hashed(method, uri)
    answer = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
    if "auth" in fields.get("qop", "").split(","):
        cnonce = cnonce or secrets.token_hex(8)
        answer["response"] = hashed(secret, nonce, "00000001", cnonce, "auth", place)
        extra = f', qop=auth, nc=00000001, cnonce="{cnonce}"'
    else:
        answer["response"] = hashed(secret, nonce, place)
        extra = ""
    if "opaque" in fields:
        answer["opaque"] = fields["opaque"]
    text = ", ".join(f'{key}="{value}"' for key, value in answer.items())
    return f"Digest {text}{extra}" + (f", algorithm={algorithm}" if "algorithm" in fields else "")
