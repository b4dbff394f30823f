"""Getting in by the address that a command printed: for tools on a person's own machine."""

import getpass
import hmac
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .access import require
from .accounts import Account, Role
from .sessions import Session, Sessions


class LocalAccess:
    """One person, who started the command: the token in the printed address works once and becomes a session.

    Other users of the machine can reach its ports, and know neither.
    """

    entrance = ""

    def __init__(self, person: str = "") -> None:
        self.account = Account(person or _login_name(), Role.OPERATOR)
        self._sessions = Sessions()
        self._token: str | None = secrets.token_urlsafe(32)
        self._cookie = f"session-{secrets.token_hex(4)}"

    def address(self, port: int) -> str:
        """Return the address to print and to open; it works once."""
        return f"http://127.0.0.1:{port}/enter/{self._token}"

    def routes(self) -> Sequence[Route]:
        """Return the route of the printed address."""
        return [Route("/enter/{token}", self._enter)]

    def session(self, request: HTTPConnection) -> Session | None:
        """Return the session whose id the request's cookie holds."""
        return self._sessions.find(request.cookies.get(self._cookie, ""), use=True)

    def csrf(self, request: HTTPConnection) -> str:
        """Return the session's token."""
        session = self.session(request)
        return session.csrf if session else ""

    @require(None)
    async def _enter(self, request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        if self.session(request) is None:
            given = request.path_params["token"]
            if self._token is None or not hmac.compare_digest(given.encode(), self._token.encode()):
                raise HTTPException(401)
            self._token = None
            session = self._sessions.start(self.account)
            answer.set_cookie(self._cookie, session.id, httponly=True, samesite="strict")
        return answer


def open_browser(address: str) -> bool:
    """Open `address` in a browser with windows, in a thread; False where there is no display for one.

    A browser inside the terminal would take Ctrl-C away from the command that runs there.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "local"
