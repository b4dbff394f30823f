"""The address that a command prints."""

import queue
import sys
import webbrowser

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from starlette.routing import Route

from edge_runtime.web.access import current, require
from edge_runtime.web.accounts import Role
from edge_runtime.web.local_access import LocalAccess, open_browser
from edge_runtime.web.secured import secured
from edge_runtime.web.templates import Head, Pages
from tests.support.web_pages import browser_client, token_in


@pytest.fixture
def tool():
    access, pages = LocalAccess("kim"), Pages([], lambda: Head("pictures"))

    @require(Role.OPERATOR)
    def home(request):
        return pages.answer(request, "error.html", {"status": 200, "sentence": current(request).name})

    return access, secured([Route("/", home, methods=["GET", "POST"])], access, pages)


def test_the_printed_address_lets_in_once_and_says_who_it_is(tool):
    access, app = tool
    client = browser_client(app)
    address = access.address(9465)
    entered = client.get(address)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "kim" in client.get("/").text
    assert client.get(address).status_code == 303  # who is in already may follow the address again
    other = browser_client(app).get(address)
    assert other.status_code == 401
    assert "printed in the terminal" in other.text


def test_another_user_of_the_machine_gets_in_nowhere(tool):
    _, app = tool
    stranger = browser_client(app)
    assert stranger.get("/").status_code == 401
    assert stranger.get("/enter/guess").status_code == 401
    assert stranger.get("/enter/%C3%A9").status_code == 401
    assert stranger.post("/").status_code == 401


def test_a_post_needs_the_sessions_token(tool):
    access, app = tool
    client = browser_client(app)
    client.get(access.address(9465))
    assert client.post("/").status_code == 403
    assert client.post("/", data={"csrf": token_in(client.get("/").text)}).status_code == 200


def test_no_browser_is_opened_where_there_is_no_display(monkeypatch):
    opened = queue.SimpleQueue()
    monkeypatch.setattr(webbrowser, "open", opened.put)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not open_browser("http://127.0.0.1:1/")  # a text browser would take the terminal
    monkeypatch.setenv("DISPLAY", ":0")
    assert open_browser("http://127.0.0.1:2/")
    assert opened.get(timeout=10) == "http://127.0.0.1:2/"
    assert opened.empty()
