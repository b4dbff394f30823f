"""Text without credentials: whatever may reach a log, an event or a page goes through here first."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_SECRET = 4  # characters; a shorter exact secret would blot out ordinary text, and the patterns below still apply

# Up to the last "@" of the word: a password may hold "/" or "@" itself.
_USER_INFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s\"'<>]*@", re.IGNORECASE)
_PARAMETER = re.compile(
    r"(?P<key>\b(?:[a-z_-]*(?:password|passwd|passwort|secret|token|apikey|api_key)|user|username|login|usr|pwd|pass|psw|"
    r"auth|key|loginuse|loginpas)=)[^\s&;\"'<>]*",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(r"(?P<name>\bauthorization\s*[:=]\s*)[^\r\n]*", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without users and passwords of addresses, secret parameters, and any of `secrets`.

    `secrets` are found as they are, percent-encoded, and as the Base64 of a Basic login.
    """
    for form in sorted(_forms(secrets), key=len, reverse=True):
        text = text.replace(form, MASK)
    text = _USER_INFO.sub(rf"\g<scheme>{MASK}@", text)
    text = _PARAMETER.sub(rf"\g<key>{MASK}", text)
    return _AUTHORIZATION.sub(rf"\g<name>{MASK}", text)


def _forms(secrets: Iterable[str]) -> set[str]:
    forms = set()
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
            forms.add(base64.b64encode(secret.encode()).decode().rstrip("="))
    return forms
