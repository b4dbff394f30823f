"""[page] of station.toml: who may see the station's page, and where it listens."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from ..bundle.errors import InputError
from ..settings_reader import number


@dataclass(frozen=True)
class PageSection:
    """[page]. Without `users_file` there is no page.

    Beyond this machine (`host`) it is served under TLS alone, `cert_file` and `key_file` in PEM form. `names` are host
    names by which it may be asked for, beside those of the certificate. `score_bytes` bounds the stored scores.
    """

    users_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = number(9465, low=0, high=65535)  # 0: any free one
    names: tuple[str, ...] = ()
    cert_file: Path | None = None
    key_file: Path | None = None
    language: str = "en"
    score_bytes: int = number(1 << 30, low=0)

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise InputError("cert_file and key_file belong together; set both, or none")
        if self.cert_file is None and not is_loopback(self.host):
            raise InputError(
                "host is not this machine itself (127.0.0.1), and passwords would cross the network readable; set "
                "cert_file and key_file, or keep host = 127.0.0.1 and come through an SSH tunnel"
            )

    def address(self, port: int) -> str:
        """Return where the page is, served at `port`."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"http{'s' if self.cert_file else ''}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether the address is one that this machine alone can reach."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
