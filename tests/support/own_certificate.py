"""Certificates of our own making, by openssl: self-signed, out of date, or for another name."""

import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, name: str = "own", host: str = "IP:127.0.0.1", days: int = 2) -> Path:
    """`name`.crt, which is returned, and `name`.key in `folder`; `host` is the subjectAltName."""
    request = f"req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
    sign = f"x509 -req -in {name}.csr -signkey {name}.key -days {days} -copy_extensions copy -out {name}.crt"
    try:
        for command in ([*request.split(), "-addext", f"subjectAltName={host}"], sign.split()):
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return folder / f"{name}.crt"


def server_context(certificate: Path) -> ssl.SSLContext:
    """The server's side of TLS with this certificate and the key beside it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context
