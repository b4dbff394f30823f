"""What base.js does, in a real browser, over real connections."""

import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra station is not installed")

from starlette.responses import JSONResponse
from starlette.routing import Route

from edge_runtime.web.access import current, require
from edge_runtime.web.accounts import Role
from edge_runtime.web.bodies import json_object
from edge_runtime.web.secured import secured
from edge_runtime.web.server import listen, serve
from edge_runtime.web.sessions import Sessions
from edge_runtime.web.sse import LiveValues
from edge_runtime.web.templates import Entry, Head, Pages
from tests.support.web_pages import PASSWORDS, SmallApp

PAGE = """{% extends "base.html" %}{% from "macros.html" import tile, meter, table %}
{% block title %}x{% endblock %}{% block main %}<h1>{{ name }}</h1><output id="seen"></output>
<label for="field">{{ name }}</label><input id="field">{{ meter(0.9, 0.5, words=name, state="bad") }}
<div class="tiles">{{ tile(name, "off", name) }}</div>
{% call(row) table([name], [1, 2], numbers=(0,)) %}
<td data-label="{{ name }}" class="number">{{ row }}</td>{% endcall %}
{% endblock %}{% block scripts %}<script type="module" src="{{ static('small.js') }}"></script>{% endblock %}"""
SCRIPT = """import { complain, keys, post, stream, toast } from "./base.js";
const done = async (verdict) => { try { await post("/judge", { verdict }); } catch (error) { complain(error); } };
keys({ r: ["Right", async () => { await done("right"); toast("judged", { undo: () => done("undo") }); }] });
stream("/live", (value) => { document.getElementById("seen").textContent = value.n; });
"""


class Station:
    """The small application with live values, served at a port that stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        room = folder / "room"
        for name, text in (("templates/small.html", PAGE), ("static/small.js", SCRIPT)):
            (room / name).parent.mkdir(parents=True, exist_ok=True)
            (room / name).write_text(text)
        self.small, self.values, self.port = SmallApp(folder), LiveValues(heartbeat=0.5), 0
        head = Head(
            "north-7", "ok", "Model serves", [Entry("/", "common.keys", "live"), Entry("/x", "common.undo", "night")]
        )
        self.pages = Pages([room], lambda: head)
        self.judged: list[object] = []
        routes = [Route("/", self.home), Route("/live", self.live), Route("/judge", self.judge, methods=["POST"])]
        self.app = secured(routes, self.small.access, self.pages)

    @require(Role.VIEWER)
    def home(self, request):
        return self.pages.answer(request, "small.html", {"name": "yard-3"})

    @require(Role.VIEWER)
    async def live(self, request):
        return self.values.answer(request)

    @require(Role.OPERATOR)
    async def judge(self, request):
        self.judged.append(((await json_object(request))["verdict"], current(request).name))
        return JSONResponse({})

    def start(self) -> None:
        self.stop, ready = threading.Event(), threading.Event()
        listening = listen("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        options = {"ready": ready.set}
        self.thread = threading.Thread(target=serve, args=(self.app, listening, self.stop), kwargs=options)
        self.thread.start()
        assert ready.wait(10)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(10)


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    station = Station(tmp_path_factory.mktemp("page"))
    station.start()
    yield station
    station.end()


@pytest.fixture(scope="module")
def logged_in(browser, station):
    """The cookies of anna, who logged in by the form."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{station.port}/")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORDS["anna"])
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="yard-3", level=1).wait_for()
    yield context.storage_state()
    context.close()


@pytest.fixture
def page(browser, station, logged_in):
    """Anna's page. No script fails on it, and nothing else than the station is asked for anything."""
    context = browser.new_context(color_scheme="light", storage_state=logged_in)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://127.0.0.1:{station.port}/")
    yield page
    assert said == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {f"127.0.0.1:{station.port}"}
    context.close()


def test_a_key_judges_with_the_sessions_token_and_can_be_undone(page, station):
    station.judged.clear()
    page.keyboard.press("r")
    page.get_by_role("button", name="Undo").click()
    deadline = time.monotonic() + 10
    while len(station.judged) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert station.judged == [("right", "anna"), ("undo", "anna")]


def test_keys_are_silent_in_a_field_and_the_help_tells_them_all(page, station):
    station.judged.clear()
    page.get_by_role("textbox", name="yard-3").fill("r")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys of this page")
    assert dialog.locator("dt").all_inner_texts() == ["r", "?"]
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert station.judged == []


def test_live_values_come_and_a_lost_connection_is_told_until_it_is_back(page, station):
    station.values.publish({"n": 1})
    page.locator("#seen", has_text="1").wait_for()
    station.end()
    bar = page.get_by_text("Connection lost. What is shown may be out of date.")
    bar.wait_for(timeout=10_000)
    station.start()
    bar.wait_for(state="hidden", timeout=20_000)
    station.values.publish({"n": 2})
    page.locator("#seen", has_text="2").wait_for()


def test_colours_follow_the_system_until_somebody_chooses_and_the_choice_stays(page):
    def ground():
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    light = ground()
    button = page.get_by_role("button", name="Colours")
    button.click()
    dark = ground()
    assert light != dark
    page.reload()
    assert ground() == dark


def test_a_tablet_with_high_contrast_fits_and_axe_finds_nothing(browser, station, logged_in):
    """The dark and the light theme, on a desktop and on a phone, are looked at on every page of the station."""
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": 820, "height": 844}, bypass_csp=True, storage_state=logged_in)
    view = context.new_page()
    view.goto(f"http://127.0.0.1:{station.port}/")
    view.evaluate("document.documentElement.dataset.theme = 'contrast'")
    assert view.evaluate("document.documentElement.scrollWidth") <= 820
    assert [
        (rule["id"], node["html"][:120]) for rule in Axe().run(view).response["violations"] for node in rule["nodes"]
    ] == []
    context.close()


def test_where_the_page_was_started_again_its_viewer_is_asked_for_the_password(page, station):
    page.locator("#seen", has_text="2").wait_for()
    station.end()
    station.small.access._sessions = Sessions()  # which are in memory alone
    station.start()
    page.get_by_label("Password").wait_for(timeout=20_000)
