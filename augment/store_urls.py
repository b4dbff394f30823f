"""URLs of places on stores, such as s3://bucket/folder: what one is, and what may not stand in one."""

import re
from urllib.parse import urlsplit

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # of two letters at least: C:// is a drive


def is_url(text: str) -> bool:
    """Whether `text` names a place on a store, and no local path."""
    return _URL.match(text) is not None


def url_problems(text: str, key: str) -> list[str]:
    """Return a sentence where `text`, the value of the setting or option `key`, is a URL that cannot be used."""
    if not is_url(text):
        return []
    parts = urlsplit(text)
    shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    if parts.password is not None or parts.query or parts.fragment:
        return [
            f"{key} is a URL of {shown} with a password, or with something behind ? or #, which would stand in files "
            "that are handed on; write it without, and keep credentials where the store's own tools look for them"
        ]
    if (not parts.netloc and parts.scheme != "file") or ".." in parts.path.split("/"):
        return [f"{key} is {text}, expected a bucket or host and a path, such as s3://bucket/folder"]
    return []
