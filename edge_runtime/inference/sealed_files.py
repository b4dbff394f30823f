"""Files that only this device can have written: each begins with a keyed digest of its name and content.

What a GPU's builder makes on a device is code that runs there, and no signature of the central team covers it. The key
lies beside the folder, readable for its owner alone; whoever can read it could as well change the program.
"""

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path

from ..bundle.files import create_private, replace_file

KEY = "engines.key"  # in the parent of the folder of sealed files
SIZE = hashlib.sha256().digest_size
log = logging.getLogger(__name__)


def read_sealed(path: Path) -> bytes | None:
    """Return the content of a sealed file; None where there is none, and where it was changed, which is logged."""
    if not path.exists():
        return None
    data = path.read_bytes()
    seal, content = data[:SIZE], data[SIZE:]
    if hmac.compare_digest(seal, _seal(path, content)):
        return content
    log.error("%s was not written by this device or was changed since; it is not used", path)
    return None


def write_sealed(path: Path, content: bytes) -> None:
    """Put `content` with its seal at `path`, as `replace_file` does."""
    replace_file(path, _seal(path, content) + content)


def _seal(path: Path, content: bytes) -> bytes:
    mac = hmac.new(_key(path.parent.parent / KEY), path.name.encode() + b"\0", hashlib.sha256)
    mac.update(content)
    return mac.digest()


def _key(path: Path) -> bytes:
    """Return the key at `path`. It is made where there is none, and anew where others could have read it."""
    if path.exists() and path.stat().st_mode & 0o077 and os.name == "posix":
        log.error("%s could be read by others; a new key is made, and what the old one sealed is not used", path)
        path.unlink()
    if not path.exists():
        create_private(path, secrets.token_bytes(SIZE))
    return path.read_bytes()
