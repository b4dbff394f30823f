"""Open a store by its URL, and say in our words what went wrong with it.

Stores are what fsspec reaches. Credentials come from where the store's own library looks for them (for S3 the
environment, ~/.aws and the machine's role; for SFTP the SSH agent, ~/.ssh/config and ~/.ssh/id_*), never from settings:
they would end in files that people hand on.
"""

import contextlib
import errno
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from augment.progress import say
from edge_runtime.bundle.errors import InputError, RarefaultError, UnavailableError

FileSystem: TypeAlias = Any  # an fsspec.AbstractFileSystem; fsspec has no types
T = TypeVar("T")

SSH = ("sftp", "ssh")
CONNECT_SECONDS, ANSWER_SECONDS = 20, 60  # until a server counts as out of reach
CONNECTIONS, SSH_CONNECTIONS = 16, 4  # at once; from ten on a server for SFTP begins to refuse
PAUSES = (1.0, 5.0, 15.0)  # seconds before each further attempt after a lost connection
# What store libraries raise, by the module that defines it; looked for only where it is loaded: none is a must.
_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "paramiko.ssh_exception": ("SSHException",),
}
_REFUSED = frozenset((
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"),
    *("AuthenticationException", "PasswordRequiredException", "BadAuthenticationType", "BadHostKeyException"),
))  # fmt: skip
_KEYS = {
    "s3": "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE), ~/.aws or the machine's role; "
    "AWS_ENDPOINT_URL names a store that is not Amazon's",
    "sftp": "the SSH agent, ~/.ssh/config and ~/.ssh/id_*, the server's key from ~/.ssh/known_hosts: "
    "`sftp HOST` must work without a question",
}


def open_store(url: str) -> tuple[FileSystem, str]:
    """Return the file system behind `url` and the path in it. InputError where its library is not installed.

    The connection is made here or at the first call, so call it inside `store_errors`.
    """
    scheme = url.partition(":")[0].lower()
    try:
        if scheme in SSH:
            return _over_ssh(url)
        fsspec = importlib.import_module("fsspec")
        options: dict[str, object] = {"use_listings_cache": False}
        if scheme in ("s3", "s3a"):
            waits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": ANSWER_SECONDS}
            # One attempt of botocore each: s3fs tries again itself, and so do we, and the three would multiply.
            options |= {"config_kwargs": {**waits, "max_pool_connections": 64, "retries": {"total_max_attempts": 1}}}
        system, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:  # ValueError: fsspec knows no such scheme
        raise InputError(
            f"{url} cannot be opened ({error}); expected s3:// or sftp:// with the extra stores "
            "(pip install 'rarefault[stores]'), or another store with the package of fsspec that reaches it"
        ) from error
    return system, path


def connections_to(url: str) -> int:
    """Return how many connections to open at once."""
    return SSH_CONNECTIONS if url.partition(":")[0].lower() in SSH else CONNECTIONS


def forget_connections() -> None:
    """Let the next `open_store` connect anew; fsspec keeps a connection even after it was lost."""
    if "fsspec" in sys.modules:
        spec = importlib.import_module("fsspec.spec")
        for kind in (kind for kind in _subclasses(spec.AbstractFileSystem) if "_cache" in vars(kind)):
            kind.clear_instance_cache()


def _subclasses(kind: Any) -> Iterator[Any]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def _over_ssh(url: str) -> tuple[FileSystem, str]:
    """Open an SFTP server as `sftp` would: by ~/.ssh/config, and only where its key is known.

    fsspec's own class takes whatever key a server shows, so that anybody in between could read and change pictures.
    """
    paramiko = importlib.import_module("paramiko")
    parts = urlsplit(url)
    config = paramiko.SSHConfig()
    with contextlib.suppress(FileNotFoundError):
        config = paramiko.SSHConfig.from_path(str(Path("~/.ssh/config").expanduser()))
    known = config.lookup(parts.hostname or "")
    waits = {"timeout": CONNECT_SECONDS, "banner_timeout": CONNECT_SECONDS, "auth_timeout": CONNECT_SECONDS}
    options: dict[str, object] = {"port": parts.port or int(known.get("port", 22)), **waits}
    options |= {"username": user} if (user := parts.username or known.get("user")) else {}
    options |= {"key_filename": known["identityfile"]} if "identityfile" in known else {}
    hosts = known.get("userknownhostsfile", "~/.ssh/known_hosts").split()
    return _checked_class()(known["hostname"], known_hosts=tuple(hosts), **options), parts.path


@cache  # fsspec keeps one connection for each class and thread
def _checked_class() -> Any:
    """Return a class of SFTP file systems that refuses servers whose key it does not know."""
    paramiko = importlib.import_module("paramiko")
    base: Any = importlib.import_module("fsspec.implementations.sftp").SFTPFileSystem

    class CheckedSFTP(base):  # type: ignore[misc]  # fsspec has no types
        def _connect(self) -> None:
            hosts = self.ssh_kwargs.pop("known_hosts")
            self.client = paramiko.SSHClient()
            for path in (Path(host).expanduser() for host in hosts):
                if path.is_file():
                    self.client.load_system_host_keys(str(path))
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.client.get_transport().set_keepalive(CONNECT_SECONDS)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(ANSWER_SECONDS)

    return CheckedSFTP


# Errors


@contextlib.contextmanager
def store_errors(url: str, doing: str) -> Iterator[None]:
    """Turn what the libraries of stores raise into InputError or UnavailableError; `doing` says what failed."""
    try:
        yield
    except RarefaultError:
        raise
    except _raised() as error:
        raise _in_our_words(url, doing, error) from error


def patiently(url: str, doing: str, call: Callable[[], T], pauses: tuple[float, ...] = PAUSES) -> T:
    """Return what `call` returns; where the store cannot be reached, try again after each of `pauses` (seconds)."""
    for pause in pauses:
        try:
            with store_errors(url, doing):
                return call()
        except UnavailableError as lost:
            say(f"{lost}; trying again in {pause:.0f} s")
            time.sleep(pause)
            forget_connections()
    with store_errors(url, doing):
        return call()


def _raised() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules[module], names) for module, names in _ERRORS.items() if module in sys.modules]
    return (OSError, EOFError, *(getattr(module, name) for module, names in loaded for name in names))


def _in_our_words(url: str, doing: str, error: BaseException) -> RarefaultError:
    names = {kind.__name__ for kind in type(error).__mro__}
    seen = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "quota" in seen.lower():
        return UnavailableError(f"{doing}: {url} is full ({seen}); make room there, what it had before still counts")
    if isinstance(error, FileNotFoundError):
        return InputError(f"{doing}: {url} or what it should hold does not exist ({seen}); correct the spelling")
    if isinstance(error, PermissionError) or names & _REFUSED or "not found in known_hosts" in seen:
        return InputError(f"{doing}: {url} refuses ({seen}); credentials are taken from {_keys(url)}")
    return UnavailableError(f"{doing}: {url} cannot be used now ({seen})")


def _keys(url: str) -> str:
    scheme = url.partition(":")[0].lower()
    return _KEYS.get("sftp" if scheme in SSH else scheme, f"where fsspec's library for {scheme}:// looks for them")
