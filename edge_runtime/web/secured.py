"""An application out of routes, with everything around it that keeps a page of a station safe."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ..bundle.errors import InputError, RarefaultError
from ..text_files import printable
from .access import ACCESS, FORBIDDEN_FORM, SAFE_METHODS, Access
from .bodies import announced, bounded, is_utf8
from .templates import Head, Pages

LOG = logging.getLogger(__name__)
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
BODY_BYTES = 64 << 10  # of a request, unless an application says otherwise
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # by no-referrer browsers would say "Origin: null" of our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class secured:
    """The ASGI application of `routes` and those of `access` and `pages`, with all checks around it.

    `names` are the host names by which the page may be asked for, beside those of the loopback; other names are
    refused, so that a foreign site cannot take this host's place by DNS. `body_bytes` bounds what a request may send.
    ValueError where a route does not say by `require` who may use it.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        access: Access,
        pages: Pages,
        names: Iterable[str] = (),
        body_bytes: int = BODY_BYTES,
    ) -> None:
        self.routes = [*routes, *access.routes(), *pages.routes()]
        for route in self.routes:
            if not hasattr(route.endpoint, "requires"):
                raise ValueError(f"the route {route.path} does not say who may use it; mark its endpoint with require")
        self._access, self._names = access, {name.lower() for name in (*LOOPBACK_NAMES, *names)}
        self._errors = _Errors(pages, access)
        self._app = Starlette(routes=self.routes, exception_handlers=self._errors.handlers())
        self._app.router.redirect_slashes = False
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[ACCESS] = self._access

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refusal(Request(scope))
        if refused is not None:
            await refused(scope, receive, send_with_headers)
        else:
            await self._app(scope, bounded(receive, self._body_bytes), send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that reaches no route, None for one that may."""
        host, t = _host_name(request.headers.get("host", "")), self._errors.pages.t
        if not self._is_ours(host):
            return self._errors.answer(request, 421, t("error.e421", host=printable(host)))
        if request.method not in SAFE_METHODS and not _from_here(request):
            return self._errors.answer(request, 403, t("error.e403_origin"))
        if not is_utf8(request):
            return self._errors.answer(request, 415, t("error.e415"))
        if announced(request.scope) > self._body_bytes:
            return self._errors.answer(request, 413, t("error.e413"))
        return None

    def _is_ours(self, host: str) -> bool:
        return host in self._names or f"*.{host.partition('.')[2]}" in self._names


def _host_name(place: str) -> str:
    """Return the name in HOST:PORT in small letters; empty where there is none."""
    try:
        return urlsplit(f"//{place}").hostname or ""
    except ValueError:  # such as half an IPv6 address
        return ""


def _from_here(request: Request) -> bool:
    """Whether the browser says, where it says anything, that the request comes from a page of this origin."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


class _Errors:
    """Errors as pages, or as JSON for scripts; never a traceback, which is in the log."""

    def __init__(self, pages: Pages, access: Access) -> None:
        self.pages, self._access = pages, access

    def handlers(self) -> dict[Any, Any]:
        return {
            HTTPException: self._http,
            RarefaultError: self._expected,
            ClientDisconnect: self._gone,
            Exception: self._bug,
        }

    def answer(self, request: Request, status: int, sentence: str) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            context: dict[str, object] = {"status": status, "sentence": sentence}
            if status == 500:  # what failed may be the header itself
                context["head"] = Head("")
            return self.pages.answer(request, "error.html", context, status)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"error": sentence}, status)
        return PlainTextResponse(sentence, status)

    async def _http(self, request: Request, error: HTTPException) -> Response:
        html = "text/html" in request.headers.get("accept", "")
        if error.status_code == 401 and self._access.entrance and html and request.method in SAFE_METHODS:
            came = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{self._access.entrance}?next={quote(came)}", 303)
        key = f"error.e{error.status_code}"
        stale = error.status_code == 403 and error.detail == FORBIDDEN_FORM
        if stale and html and request.url.path == self._access.entrance:  # such as a form from before a restart
            return RedirectResponse(f"{self._access.entrance}?expired=1", 303)
        if error.status_code == 401 and not self._access.entrance:
            key = "error.e401_local"
        if stale:
            key = "error.e403_csrf"
        answer = self.answer(request, error.status_code, self._sentence(key))
        answer.headers.update(error.headers or {})
        return answer

    def _sentence(self, key: str) -> str:
        try:
            return self.pages.t(key)
        except KeyError:
            return self.pages.t("error.e400")

    async def _expected(self, request: Request, error: RarefaultError) -> Response:
        return self.answer(request, 400 if isinstance(error, InputError) else 503, printable(str(error)))

    async def _gone(self, request: Request, error: ClientDisconnect) -> Response:
        return PlainTextResponse("", 400)

    async def _bug(self, request: Request, error: Exception) -> Response:
        return self.answer(request, 500, self.pages.t("error.e500"))
