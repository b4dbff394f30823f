"""Who may use which route: every route says so by `require`, and nothing is served that does not."""

import hmac
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from .accounts import Account, Role
from .sessions import Session

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf"
ACCESS = "rarefault.access"  # the key of a request's scope under which its Access stands
FORBIDDEN_FORM = "csrf"  # the detail of a 403 whose form does not belong to the session

Endpoint = Callable[..., Awaitable[Response] | Response]


class Access(Protocol):
    """How people get in: by password, or by the address that a command printed."""

    entrance: str  # where somebody without a session is sent; empty: nowhere

    def routes(self) -> Sequence[Route]:
        """Return the routes by which one gets in and out."""

    def session(self, request: HTTPConnection) -> Session | None:
        """Return the session of a request."""

    def csrf(self, request: HTTPConnection) -> str:
        """Return the token that a form of this request's sender has to carry; empty: none is good."""


def session_of(request: HTTPConnection) -> Session | None:
    """Return the session of a request, where it has one."""
    access: Access = request.scope[ACCESS]
    return access.session(request)


def csrf_of(request: HTTPConnection) -> str:
    """Return the token for the forms of a page."""
    access: Access = request.scope[ACCESS]
    return access.csrf(request)


def current(request: HTTPConnection) -> Account:
    """Return who asks; HTTPException 401 where nobody is logged in."""
    session = session_of(request)
    if session is None:
        raise HTTPException(401)
    return session.account


def address_of(request: HTTPConnection) -> str:
    """Return the network address that a request comes from, "" where it has none."""
    return request.client.host if request.client else ""


def require(role: Role | None) -> Callable[[Endpoint], Any]:
    """Mark an endpoint, a function or a method, as open to `role` and above; None: to everybody.

    It answers 401 without a session, 403 to a lower role, and 403 to a POST without the session's token, in the
    field `csrf` of a form or in the header X-CSRF-Token. A plain function runs in a thread, so it may read a disk; one
    that reads a form has to be `async`.
    """

    def mark(endpoint: Endpoint) -> Any:
        @wraps(endpoint)
        async def guarded(*arguments: Any) -> Response:
            request: Request = arguments[-1]
            if role is not None and current(request).role < role:
                raise HTTPException(403)
            if request.method not in SAFE_METHODS:
                await _check_token(request)
            if inspect.iscoroutinefunction(endpoint):
                answer: Response = await endpoint(*arguments)
                return answer
            return await run_in_threadpool(endpoint, *arguments)  # type: ignore[arg-type]

        guarded.requires = role  # type: ignore[attr-defined]
        return guarded

    return mark


async def _check_token(request: Request) -> None:
    given: object = request.headers.get(CSRF_HEADER)
    if given is None:
        given = (await request.form()).get(CSRF_FIELD)  # Starlette keeps the form for the endpoint
    expected = csrf_of(request)
    if not expected or not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(403, FORBIDDEN_FORM)
