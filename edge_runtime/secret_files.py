"""Secrets and certificates come from files that the settings name, or from the environment; never from the settings.

Every sentence about a file names the setting, so that nobody looks for the fault at the other end of the connection.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .bundle.errors import InputError, UnavailableError
from .text_files import decode_text

if TYPE_CHECKING:
    import ssl

MAX_SECRET = 4096  # bytes


def find_secret(path: Path | None, variable: str, setting: str = "password_file") -> str | None:
    """Return the secret in the file at `path`, which `setting` names, else that of the environment's `variable`."""
    if path is not None:
        return read_secret(path, setting)
    return os.environ.get(variable) or None


def read_secret(path: Path, setting: str) -> str:
    """Return the text of the file without its line end; UnavailableError names both, never what is in it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET + 1)
        text = decode_text(data, "").strip("\n")
    except OSError as error:
        raise UnavailableError(f"{setting} {path} cannot be read ({error.strerror}); check the file") from None
    except InputError:  # its sentence quotes a byte
        raise UnavailableError(f"{setting} {path} is no UTF-8 text; write it again") from None
    if not text or len(data) > MAX_SECRET:
        raise UnavailableError(
            f"{setting} {path} has {len(data)} bytes, expected a secret of 1 to {MAX_SECRET}; write it again"
        )
    return text


def tls_context(
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    passphrase: Callable[[], str | None] = lambda: None,
) -> "ssl.SSLContext":
    """Return the context of a client that trusts `ca_file`, else the system's authorities, and shows `cert_file`.

    `passphrase` gives that of an encrypted key; nobody is ever asked at a terminal. UnavailableError names the setting
    whose file cannot be used.
    """
    import ssl  # 10 ms that few cameras need

    for setting, path in (("ca_file", ca_file), ("cert_file", cert_file), ("key_file", key_file)):
        _check_readable(setting, path)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise UnavailableError(f"ca_file {ca_file} holds no certificate in PEM form; give another file") from None
    if cert_file is not None:
        _show_certificate(context, cert_file, key_file, passphrase)
    return context


def _check_readable(setting: str, path: Path | None) -> None:
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        raise UnavailableError(f"{setting} {path} cannot be read ({error.strerror}); check the file") from None


def _show_certificate(
    context: "ssl.SSLContext", cert_file: Path, key_file: Path | None, passphrase: Callable[[], str | None]
) -> None:
    import ssl

    asked: list[str] = []  # the passphrase that was given, once OpenSSL has asked for one

    def answer() -> str:
        asked.append(passphrase() or "")
        return asked[-1]

    named = f"key_file {key_file}" if key_file else f"the key in cert_file {cert_file}"
    try:
        context.load_cert_chain(cert_file, key_file, answer)
    except ssl.SSLError as error:
        if asked:
            problem = "is encrypted, and key_passphrase_file does not open it" if asked[0] else "is encrypted"
            raise UnavailableError(
                f"{named} {problem}; set key_passphrase_file to a file with its passphrase, or give a key without"
            ) from None
        if "MISMATCH" in (error.reason or ""):
            raise UnavailableError(f"{named} does not belong to cert_file {cert_file}; give the two that do") from None
        with contextlib.suppress(ssl.SSLError):  # is it the certificate?
            ssl.create_default_context().load_verify_locations(cert_file)
            raise UnavailableError(f"{named} holds no key in PEM form; give another file") from None
        raise UnavailableError(f"cert_file {cert_file} holds no certificate in PEM form; give another file") from None
