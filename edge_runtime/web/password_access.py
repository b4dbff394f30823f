"""Getting in by name and password: /login and /logout."""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..bundle.errors import UnavailableError
from ..text_files import printable
from .access import SAFE_METHODS, address_of, require
from .accounts import Account, Accounts
from .login_limits import LoginLimits
from .sessions import Session, Sessions
from .templates import Pages

MOST_WAITING = 20  # logins at once
LOG = logging.getLogger(__name__)
Told = Callable[[str, str, str], None]
"""A function that is told (who, address, what) of every login, failed or not, and of every logout."""


class PasswordAccess:
    """Sessions for accounts. `tls` says that the page is served under TLS alone; `name` tells cookies of pages apart.

    A session ends where its account is taken away or changed. Before the login there is no session: its form carries
    a token that belongs to a random cookie, and no id that a browser brings along is ever taken for a new session.
    """

    entrance = "/login"

    def __init__(self, accounts: Accounts, pages: Pages, name: str, tls: bool, told: Told | None = None) -> None:
        self._accounts, self._pages, self._tls = accounts, pages, tls
        self._told = told or (lambda *_: None)
        prefix = "__Host-" if tls else ""
        self._cookie, self._before = f"{prefix}session-{name}", f"{prefix}login-{name}"  # before there is a session
        self._one, self._waiting = asyncio.Lock(), 0
        self._sessions, self._limits, self._key = Sessions(), LoginLimits(), secrets.token_bytes(32)

    def routes(self) -> Sequence[Route]:
        """Return /login and /logout."""
        return [
            Route("/login", self._show),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
        ]

    def session(self, request: HTTPConnection) -> Session | None:
        """Return the session whose id the request's cookie holds, as long as its account is as it was."""
        navigates = request.headers.get("sec-fetch-mode") == "navigate" or request.scope["method"] not in SAFE_METHODS
        session = self._sessions.find(request.cookies.get(self._cookie, ""), use=navigates)
        if session is None or self._accounts.find(session.account.name) != session.account:
            return None
        return session

    def csrf(self, request: HTTPConnection) -> str:
        """Return the session's token, or before the login the one of the login form's cookie."""
        if (session := self.session(request)) is not None:
            return session.csrf
        cookie = request.cookies.get(self._before) or request.scope.get(self._before)
        return self._token(cookie) if cookie else ""

    def _token(self, cookie: str) -> str:
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    @require(None)
    async def _show(self, request: Request) -> Response:
        if self.session(request) is not None:
            return RedirectResponse(_next(request.query_params.get("next", "")), 303)
        return self._form(request, self._pages.t("login.expired") if "expired" in request.query_params else "", 200)

    def _form(self, request: Request, trouble: str, status: int, name: str = "") -> Response:
        cookie = request.cookies.get(self._before) or secrets.token_urlsafe(32)  # the same in all of a browser's tabs
        request.scope[self._before] = cookie
        goal = _next(request.query_params.get("next", ""))
        answer = self._pages.answer(request, "login.html", {"trouble": trouble, "goal": goal, "name": name}, status)
        self._set(answer, self._before, cookie)
        return answer

    @require(None)
    async def _log_in(self, request: Request) -> Response:
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        address = address_of(request)
        if wait := self._limits.attempt(name, address):
            answer = self._form(request, self._pages.t("login.wait", n=wait), 429, name)
            answer.headers["Retry-After"] = str(wait)
            return answer
        account = await self._checked(name, password)
        if account is None:
            await self._tell(name, address, "login refused")
            return self._form(request, self._pages.t("login.wrong"), 401, name)
        self._limits.succeeded(name, address)
        await self._tell(name, address, "login")
        return self._let_in(request, account, _next(request.query_params.get("next", "")))

    async def _checked(self, name: str, password: str) -> Account | None:
        """Check one password at a time, and hold no thread while others wait: those are for who is in already."""
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, headers={"Retry-After": "10"})
        self._waiting += 1
        try:
            async with self._one:
                return await run_in_threadpool(self._accounts.check, name, password)
        finally:
            self._waiting -= 1

    def _let_in(self, request: Request, account: Account, goal: str) -> Response:
        self._sessions.end(request.cookies.get(self._cookie, ""))
        session = self._sessions.start(account)
        answer = RedirectResponse(goal, 303)
        self._set(answer, self._cookie, session.id)
        self._set(answer, self._before, "")
        return answer

    @require(None)
    async def _log_out(self, request: Request) -> Response:
        if (session := self.session(request)) is not None:
            self._sessions.end(session.id)
            await self._tell(session.account.name, address_of(request), "logout")
        answer = RedirectResponse(self.entrance, 303)
        self._set(answer, self._cookie, "")
        return answer

    def _set(self, answer: Response, name: str, value: str) -> None:
        """Give the browser a cookie until it is closed, or take it away where `value` is empty."""
        age = None if value else 0
        answer.set_cookie(name, value, max_age=age, httponly=True, samesite="strict", secure=self._tls)

    async def _tell(self, name: str, address: str, what: str) -> None:
        LOG.info("%s of %s from %s", what, printable(name[:64]), address)
        try:
            await run_in_threadpool(self._told, printable(name[:64]), address, what)
        except UnavailableError as error:  # such as a full disk, on which somebody has to look in all the more
            LOG.warning("this is told in the log alone: %s", error)


def _next(goal: str) -> str:
    """Return `goal` where it is a path of this page, else the start: no login leads to another site."""
    fine = goal.startswith("/") and not goal.startswith("//") and "\\" not in goal and goal.isprintable()
    return goal if fine and not goal.startswith("/login") else "/"
