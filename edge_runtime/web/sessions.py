"""Sessions in memory: a random id in a cookie stands for an account until it expires or is ended."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .accounts import Account, Role

HOUR = 3600.0
IDLE = {Role.VIEWER: 30 * 24 * HOUR, Role.OPERATOR: 8 * HOUR}  # seconds without a page opened or a form sent
ABSOLUTE = {Role.VIEWER: 30 * 24 * HOUR, Role.OPERATOR: 24 * HOUR}  # a wall's screen is a viewer
MOST_SESSIONS = 1024


@dataclass
class Session:
    """One login. `csrf` is the token that each of its forms carries; times in monotonic seconds."""

    account: Account
    began: float
    used: float
    id: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def expired(self, now: float) -> bool:
        """Whether it is over at `now`."""
        role = self.account.role
        return now - self.used > IDLE[role] or now - self.began > ABSOLUTE[role]


class Sessions:
    """All sessions of one process; a restart ends them. Any thread may use it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def start(self, account: Account) -> Session:
        """Begin a session under a new id of 256 random bits; the oldest ends where there are too many."""
        now = self._monotonic()
        session = Session(account, now, now)
        with self._lock:
            self._sessions = {key: one for key, one in self._sessions.items() if not one.expired(now)}
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used)]
            self._sessions[session.id] = session
        return session

    def find(self, key: str, use: bool) -> Session | None:
        """Return the session of this id, or None; `use` says that a person did something, and it idles anew."""
        now = self._monotonic()
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if session.expired(now):
                del self._sessions[key]
                return None
            if use:
                session.used = now
            return session

    def end(self, key: str) -> None:
        """End the session of this id, if there is one."""
        with self._lock:
            self._sessions.pop(key, None)
