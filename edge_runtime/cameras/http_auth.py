"""Login and status codes that HTTP (RFC 9110, 7616, 7617) and RTSP (RFC 7826) have in common."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping

from ..causes import Cause

CAUSES = {
    **{401: Cause.AUTH, 403: Cause.FORBIDDEN, 404: Cause.NOT_FOUND, 410: Cause.NOT_FOUND},
    **{429: Cause.BUSY, 453: Cause.BUSY, 503: Cause.BUSY},  # too many requests, not enough bandwidth, unavailable
    **{454: Cause.CAMERA_FAULT, 461: Cause.TRANSPORT},  # of RTSP alone: it lost the session; unsupported transport
}


def cause_of_status(status: int) -> Cause:
    """Return why a camera that answered with `status`, which is not 200, gives no stream. HTTP and RTSP agree here."""
    if 300 <= status < 400:
        return Cause.REDIRECTED
    return CAUSES.get(status, Cause.CAMERA_FAULT if status >= 500 else Cause.REJECTED)


def challenges_by_scheme(values: Iterable[str]) -> dict[str, str]:
    """Return the parameters of each scheme, in small letters, that the WWW-Authenticate headers' `values` offer.

    Of two offers with the same scheme the first counts.
    """
    offered: dict[str, str] = {}
    for value in (part for whole in values for part in re.split(r",\s*(?=[\w-]+ +\w+=)", whole)):
        scheme, _, parameters = value.strip().partition(" ")
        offered.setdefault(scheme.lower(), parameters)
    return offered


def answer_challenge(offered: Mapping[str, str], method: str, uri: str, user: str, password: str) -> str:
    """Return the Authorization header's value: Digest where `offered` has it, else Basic."""
    if "digest" in offered:
        return digest_login(offered["digest"], method, uri, user, password)
    return basic_login(user, password)


def basic_login(user: str, password: str) -> str:
    """Return a Basic login (RFC 7617), which shows the password to whoever listens."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest_login(challenge: str, method: str, uri: str, user: str, password: str, cnonce: str | None = None) -> str:
    """Return a Digest answer (RFC 7616; MD5 or SHA-256, with or without qop=auth). `cnonce` is random unless given."""
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
    if "auth" in re.split(r"[,\s]+", fields.get("qop", "")):
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
