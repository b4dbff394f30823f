"""Stores on the loopback address: moto's server, which speaks S3 and checks what it is told to; OpenSSH's for SFTP; and
links to them that break. No test needs a network."""

import contextlib
import logging
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment.stores.connection import forget_connections
from tests.support.sample_events import wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or shutil.which("sshd")


class S3Server:
    """moto's server; its buckets live in this process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"

    def use(self, environment: pytest.MonkeyPatch, endpoint: str = "") -> None:
        """Let store libraries find this server, or a link to it, where they find Amazon's."""
        for key, value in KEYS.items():
            environment.setenv(key, value)
        environment.setenv("AWS_ENDPOINT_URL", endpoint or self.endpoint)
        forget_connections()

    def client(self):
        import boto3

        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.endpoint, **keys)

    def bucket(self, name: str, folder: Path, prefix: str = "") -> None:
        """Make a bucket that holds the files of `folder` below `prefix`."""
        client = self.client()
        client.create_bucket(Bucket=name)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(Bucket=name, Key=f"{prefix}{path.relative_to(folder)}", Body=path.read_bytes())

    @contextlib.contextmanager
    def checking_keys(self) -> Iterator[None]:
        """Let the server check who asks, which it does not by itself."""
        self._checks_after(b"0")
        try:
            yield
        finally:
            self._checks_after(b"inf")

    def _checks_after(self, requests: bytes) -> None:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset-auth", data=requests, headers=plain)
        urllib.request.urlopen(request, timeout=20).close()


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        yield S3Server(running.get_host_and_port()[1])
    finally:
        running.stop()


class Link:
    """A loopback link to a port that counts what is asked for; once `left` requests have passed it is dead."""

    def __init__(self, port: int, left: float = float("inf")) -> None:
        self.left = left
        self.asked: list[str] = []  # the first lines of requests
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, target, asks in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pass, args=(source, target, asks), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                if asks and data.split(b" ", 1)[0] in (b"GET", b"PUT", b"HEAD"):
                    self.left -= 1
                    self.asked.append(data.split(b"\r\n", 1)[0].decode())
                if self.left < 0:
                    break
                target.sendall(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def sftp_server(home: Path, environment: pytest.MonkeyPatch) -> Iterator[str]:
    """Run OpenSSH's server for the keys in `home`, which becomes the home folder; yield the host's name."""
    pytest.importorskip("paramiko")
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd on this machine (Debian: openssh-server)")
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700)
    for name in ("id_ed25519", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (ssh / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {ssh}/host_key\nAuthorizedKeysFile {ssh}/id_ed25519.pub\n"
        "StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    key = " ".join((ssh / "host_key.pub").read_text().split()[:2])
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    (ssh / "config").write_text(f"Host archive\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {ssh}/id_ed25519\n")
    environment.setenv("HOME", str(home))
    environment.delenv("SSH_AUTH_SOCK", raising=False)
    log = ssh / "log"
    with log.open("wb") as said:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", ssh / "sshd_config"], stderr=said)
    try:
        wait_until(lambda: log.stat().st_size > 0 or server.poll() is not None)
        if server.poll() is not None:
            pytest.skip(f"sshd does not run here: {log.read_text().strip()}")
        yield "archive"
    finally:
        forget_connections()
        server.terminate()
        server.wait(timeout=20)
