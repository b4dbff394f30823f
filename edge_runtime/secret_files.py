"""Secrets come from a file of their own that the settings name, or from the environment; never from the settings."""

import os
from pathlib import Path

from .bundle.errors import InputError, UnavailableError
from .text_files import decode_text

MAX_SECRET = 4096  # bytes


def find_secret(path: Path | None, variable: str) -> str | None:
    """Return the secret in the file at `path`, else in the environment's `variable`, else None."""
    if path is not None:
        return read_secret(path)
    return os.environ.get(variable) or None


def read_secret(path: Path) -> str:
    """Return the text of the file without its line end; UnavailableError names the file, never what is in it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET + 1)
        text = decode_text(data, "").strip("\n")
    except OSError as error:
        raise UnavailableError(f"the secret in {path} cannot be read ({error.strerror}); check the file") from None
    except InputError:  # its sentence quotes a byte
        raise UnavailableError(f"the secret in {path} is no UTF-8 text; write it again") from None
    if not text or len(data) > MAX_SECRET:
        raise UnavailableError(
            f"the secret in {path} has {len(data)} bytes, expected 1 to {MAX_SECRET}; write it again"
        )
    return text
