"""Names of files that are made from labels: what one system forbids in them, no other writes either."""

import re

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # devices of Windows
FORBIDDEN = re.compile(r'[<>:"/\\|?*%\x00-\x1f\x7f]|[. ]$|^\.')


def safe_name(label: str) -> str:
    """Return a name for a file or folder of `label` that every system takes; other labels have other names.

    A character that some system forbids is written as in addresses, such as %3A for a colon; most labels stay as they
    are.
    """
    escaped = FORBIDDEN.sub(lambda match: _escaped(match[0]), label)
    return _escaped(escaped[0]) + escaped[1:] if RESERVED.fullmatch(escaped) else escaped


def _escaped(character: str) -> str:
    return f"%{ord(character):02X}"
