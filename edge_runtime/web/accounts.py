"""Who may use a station's page: the users file with argon2 hashes, and the roles.

argon2 is imported where a password is: only a station has any, and it alone has the package.
"""

import importlib.util
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ..bundle.errors import InputError, UnavailableError
from ..settings_reader import build, check_name, read_toml

LOG = logging.getLogger(__name__)
MOST_PASSWORD = 1024  # bytes; a longer one is never hashed
LEAST_LETTERS = 10  # of a new password
MOST_MEMORY = 1 << 20  # KiB that one hash may ask for
LOOK_SECONDS = 1.0  # between two looks whether the file changed


class Role(IntEnum):
    """What an account may do; a higher role may all that a lower one may."""

    VIEWER = 1  # look
    OPERATOR = 2  # judge, acknowledge, snooze, maintenance


@dataclass(frozen=True)
class Account:
    """One person, or one screen on a wall. `password` is the hash; the password itself is nowhere."""

    name: str
    role: Role
    password: str = ""


@dataclass(frozen=True)
class _UserSection:
    role: str
    password: str


@dataclass(frozen=True)
class _UsersFile:
    user: dict[str, _UserSection]


class Accounts:
    """The accounts of a users file, which is read again when it changes. Any thread may use it.

    [user.anna]
    role = "operator"                # or viewer
    password = "$argon2id$v=19$..."  # edge-station hash-password prints it
    """

    def __init__(self, path: Path, accounts: Mapping[str, Account], stamp: tuple[int, int, int]) -> None:
        self._path, self._accounts, self._stamp = path, dict(accounts), stamp
        self._looked = time.monotonic()
        self._dummy, self._trouble = _unknown_hash(accounts), ""

    @classmethod
    def read(cls, path: Path) -> "Accounts":
        """Read the file at `path`; InputError where others may read it, or where an entry cannot be used.

        UnavailableError where the package argon2 is missing.
        """
        _check_argon2()
        accounts, stamp = _read(path)
        return cls(path, accounts, stamp)

    def names(self) -> list[str]:
        """Return all names with their roles, as in `anna (operator)`."""
        return [f"{account.name} ({account.role.name.lower()})" for account in self._accounts.values()]

    def find(self, name: str) -> Account | None:
        """Return the account of this name as the file has it now."""
        self._look_again()
        return self._accounts.get(name)

    def check(self, name: str, password: str) -> Account | None:
        """Return the account where the password is its own. An unknown name takes as long as a known one.

        It takes 64 MiB and four cores for a moment: call it once at a time.
        """
        account = self.find(name)
        data = password.encode("utf-8", "surrogatepass")
        if len(data) > MOST_PASSWORD:
            return None
        right = _verify(account.password if account else self._dummy, data)
        return account if right else None

    def _look_again(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            if _stamp(self._path) == self._stamp:
                return
            self._accounts, self._stamp = _read(self._path)
            self._trouble = ""
        except (InputError, OSError) as error:
            if str(error) != self._trouble:
                LOG.warning("the users file changed and cannot be used, the accounts before stay: %s", error)
            self._trouble = str(error)


def hash_password(password: str) -> str:
    """Return the argon2id hash of a new password by RFC 9106's parameters; InputError where it is short or long.

    UnavailableError where the package argon2 is missing.
    """
    _check_argon2()
    if len(password) < LEAST_LETTERS or len(password.encode("utf-8", "surrogatepass")) > MOST_PASSWORD:
        raise InputError(
            f"the password has {len(password)} characters, expected {LEAST_LETTERS} to {MOST_PASSWORD}; "
            "a sentence of four words is easy to keep in mind"
        )
    import argon2

    return argon2.PasswordHasher().hash(password.encode("utf-8", "surrogatepass"))


def _check_argon2() -> None:
    if importlib.util.find_spec("argon2") is None:
        raise UnavailableError("passwords need the package argon2-cffi; install rarefault with the extra station")


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> tuple[dict[str, Account], tuple[int, int, int]]:
    remedy = "give the file of the page's users as users_file in [page]"
    try:
        stamp, mode = _stamp(path), path.stat().st_mode
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    if os.name == "posix" and mode & 0o027:  # its group may read it, as that of /etc/shadow may
        raise InputError(f"{path} may be read or written by others (mode {mode & 0o777:04o}); run chmod 600 {path}")
    content = read_toml(path, remedy)
    try:
        users = build(_UsersFile, content, "").user
        accounts = {name: _account(name, user) for name, user in users.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return accounts, stamp


def _account(name: str, user: _UserSection) -> Account:
    import argon2
    from argon2.exceptions import InvalidHashError

    check_name("a user", name)
    roles = {role.name.lower(): role for role in Role}
    if user.role not in roles:
        raise InputError(f"user.{name}.role is none of {', '.join(roles)}; set one of them")
    try:
        memory = argon2.extract_parameters(user.password).memory_cost
    except InvalidHashError:
        memory = MOST_MEMORY + 1
    if not user.password.startswith("$argon2id$") or memory > MOST_MEMORY:
        raise InputError(f"user.{name}.password is no argon2id hash; make one with `edge-station hash-password`")
    return Account(name, roles[user.role], user.password)


def _unknown_hash(accounts: Mapping[str, Account]) -> str:
    """Return a hash that no password has, as costly as those of the file."""
    import argon2

    hasher = argon2.PasswordHasher()
    for account in accounts.values():
        hasher = argon2.PasswordHasher.from_parameters(argon2.extract_parameters(account.password))
        break
    return hasher.hash(os.urandom(32))


def _verify(hashed: str, password: bytes) -> bool:
    import argon2
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return argon2.PasswordHasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
