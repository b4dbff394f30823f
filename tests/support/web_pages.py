"""A small application of pages with accounts, and a client that behaves like a browser."""

import re
from pathlib import Path
from typing import Any

import argon2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.web.access import current, require
from edge_runtime.web.accounts import Accounts, Role
from edge_runtime.web.bodies import json_object
from edge_runtime.web.password_access import PasswordAccess
from edge_runtime.web.secured import secured
from edge_runtime.web.templates import Entry, Head, Pages

HOST = "127.0.0.1:9465"
PASSWORDS = {"anna": "four words are enough", "wall": "a screen on a wall"}
ROLES = {"anna": "operator", "wall": "viewer"}
HTML = {"Accept": "text/html"}


def cheap_hash(password: str) -> str:
    """An argon2id hash that takes no time, for tests alone."""
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password.encode())


def write_users(folder: Path, roles: dict[str, str] = ROLES) -> Path:
    """A users file of the accounts of PASSWORDS that `roles` names."""
    path = folder / "users.toml"
    lines = [
        f'[user.{name}]\nrole = "{role}"\npassword = "{cheap_hash(PASSWORDS[name])}"\n' for name, role in roles.items()
    ]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


class SmallApp:
    """One page, one POST for operators, and some that fail. `seen` is what POSTs got; `told` are logins."""

    def __init__(self, folder: Path, tls: bool = False, names: tuple[str, ...] = (), station: str = "north-7") -> None:
        self.seen: list[object] = []
        self.told: list[tuple[str, str, str]] = []
        self.users = write_users(folder)
        self.accounts = Accounts.read(self.users)
        head = Head(station, "ok", "Model serves", [Entry("/", "common.navigation", "live")])
        self.pages = Pages([], lambda: head)
        self.access = PasswordAccess(self.accounts, self.pages, "north-7", tls, lambda *told: self.told.append(told))
        self.routes = [
            Route("/", self.home),
            Route("/judge", self.judge, methods=["POST"]),
            Route("/form", self.form, methods=["POST"]),
            Route("/bug", self.bug),
            Route("/input", self.input),
            Route("/away", self.away),
        ]
        self.app = secured(self.routes, self.access, self.pages, names)

    @require(Role.VIEWER)
    def home(self, request: Request) -> Response:
        return self.pages.answer(request, "error.html", {"status": 200, "sentence": current(request).name})

    @require(Role.OPERATOR)
    async def judge(self, request: Request) -> Response:
        body = await json_object(request)
        self.seen.append(body.get("verdict"))
        return JSONResponse({"by": current(request).name})

    @require(Role.OPERATOR)
    async def form(self, request: Request) -> Response:
        self.seen.append((await request.form()).get("verdict"))
        return Response()

    @require(Role.VIEWER)
    def bug(self, request: Request) -> Response:
        raise ValueError("/srv/secret/path")

    @require(Role.VIEWER)
    def input(self, request: Request) -> Response:
        raise InputError("since is no time, expected one like 2026-11-26")

    @require(Role.VIEWER)
    def away(self, request: Request) -> Response:
        raise UnavailableError("the outbox cannot be read")

    def client(self, host: str = HOST, scheme: str = "http") -> TestClient:
        """A browser without a session, which follows no redirect by itself."""
        return browser_client(self.app, host, scheme)


def browser_client(app: Any, host: str = HOST, scheme: str = "http", raise_bugs: bool = False) -> TestClient:
    """A client that asks for pages and keeps cookies, and follows no redirect by itself."""
    return TestClient(
        app, f"{scheme}://{host}", headers=HTML, follow_redirects=False, raise_server_exceptions=raise_bugs
    )


def token_in(page: str) -> str:
    """The token of the page's form."""
    found = re.search(r'(?:name="csrf" value=|"csrf": )"([^"]+)"', page)
    assert found is not None, page
    return found[1]


def log_in(client: TestClient, name: str = "anna", password: str = "") -> str:
    """Log in by the form, and return the session's token."""
    token = token_in(client.get("/login").text)
    answer = client.post("/login", data={"name": name, "password": password or PASSWORDS[name], "csrf": token})
    assert answer.status_code == 303, answer.text
    return token_in(client.get("/").text)
