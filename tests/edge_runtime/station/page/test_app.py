"""The whole of the station's page against whoever means harm: every route, and everything that a name may hold."""

import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("starlette", reason="the extra station is not installed")

from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.web.access import SAFE_METHODS
from edge_runtime.web.accounts import Role
from edge_runtime.web.server import listen, serve
from tests.support import ROOT
from tests.support.colour_bundle import make_bundle
from tests.support.judged_events import alarm_document
from tests.support.route_fuzz import PARAMETER, find_no_bug
from tests.support.station_page import page_over_state
from tests.support.web_pages import PASSWORDS

EVIL = "\"><img src=x onerror=alert(1)></script>'{{7*7}}"
ENDLESS, ENDING = "/live/stream", "/logout"
PATHS = ("..%2f..%2fusers.toml", "..%5c..%5cusers.toml", "%2fetc%2fpasswd", "....%2f%2fstation.toml", "frame%00")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), ("fp32",))


@pytest.fixture(scope="module")
def served(tmp_path_factory, bundle):
    """The page of a station whose events hold markup wherever a text may come from elsewhere."""
    doubts = [EVIL]
    evil = {
        "label": EVIL,
        "region": EVIL,
        "group": {"label": EVIL, "probability": 0.9},
        "model": {"name": EVIL, "version": EVIL, "digest": EVIL},
    }
    marks = {"maintenance": {"until": EVIL, "by": EVIL}, "snoozed": {"until": EVIL, "by": EVIL}}
    alarms = [{}, {**evil, "doubts": doubts}, {**marks, "camera": EVIL}, {"clock": "free"}]
    with page_over_state(tmp_path_factory.mktemp("station"), bundle, alarms) as served:
        judged = judge_event(alarm_document(1, **evil), Verdict.OTHER, "anna", "operator", EVIL, note=EVIL)
        served.desk.judgements.add(judged)
        served.desk.attention.acknowledge("event-1", EVIL)
        yield served


@contextmanager
def serving(app):
    """Serve `app` over real connections; the port."""
    listening, stop, ready = listen("127.0.0.1", 0), threading.Event(), threading.Event()
    port = listening.getsockname()[1]
    thread = threading.Thread(target=serve, args=(app, listening, stop), kwargs={"ready": ready.set})
    thread.start()
    try:
        assert ready.wait(10)
        yield port
    finally:
        stop.set()
        thread.join(10)


def filled(route):
    """An address of the route with an event, a camera and a picture that are there."""
    values = {"{id}": "event-0", "{camera}": "yard", "{name}": "frame", "{slot}": "0", "{entry}": "1"}
    return PARAMETER.sub(lambda found: values.get(found[0], "x"), route.path)


def test_every_route_but_the_login_asks_who_is_there(served):
    client, _ = served.client()
    for route in served.app.routes:
        if route.path.startswith(("/login", "/logout", "/static/")):
            continue
        for method in route.methods:
            answer = client.request(method, filled(route), headers={"Accept": "*/*"})
            assert answer.status_code == 401, (method, route.path)


def test_every_route_that_changes_something_is_closed_to_viewers_and_needs_the_sessions_token(served):
    changing = [route for route in served.app.routes if not set(route.methods) & set(SAFE_METHODS)]
    changing = [route for route in changing if not route.path.startswith(("/login", "/logout"))]
    assert len(changing) >= 7
    viewer, token = served.client("wall")
    operator, _ = served.client("anna")
    for route in changing:
        assert route.endpoint.requires is Role.OPERATOR, route.path
        path = filled(route)
        assert viewer.post(path, json={}, headers={"X-CSRF-Token": token}).status_code == 403, path
        for headers in ({}, {"X-CSRF-Token": token}, {"X-CSRF-Token": ""}):
            assert operator.post(path, json={}, headers=headers).status_code == 403, path
        foreign = {"X-CSRF-Token": token, "Origin": "http://evil.example"}
        assert operator.post(path, json={}, headers=foreign).status_code == 403, path


def test_what_only_shows_changes_nothing(served):
    """A GET may be sent by a foreign page's picture or link."""
    client, _ = served.client("anna")
    lines = served.desk.judgements.audit_lines(1000)
    history = served.desk.attention.history(1000)
    for route in served.app.routes:
        if "GET" in route.methods and route.path not in (ENDLESS,):
            client.get(filled(route))
    assert served.desk.attention.history(1000) == history
    assert served.desk.judgements.audit_lines(1000) == lines


def test_markup_in_names_labels_and_notes_stays_text_on_every_page(served):
    client, _ = served.client("anna")
    seen = 0
    for path in (
        *("/", "/live/alarms", "/events", "/night", "/thresholds", "/cameras", "/night?period=7d"),
        *(f"/events/event-{n}{part}" for n in range(4) for part in ("", "?part=1", "?row=1")),
    ):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert "<img src=x" not in answer.text, path
        assert "49" not in answer.text.partition("onerror")[2][:60], path
        seen += answer.text.count("&lt;img src=x")
    assert seen > 10


def test_markup_in_an_address_stays_text(served):
    client, _ = served.client("anna")
    for query in ("camera", "label", "since", "until", "period", "judged", "before", "next"):
        for path in ("/events", "/thresholds", "/night", "/login", "/nothing"):
            answer = client.get(path, params={query: EVIL})
            assert answer.status_code < 500, (path, query)
            assert "<img src=x" not in answer.text, (path, query)


@pytest.mark.parametrize("path", PATHS)
def test_no_address_leads_to_another_file(served, path):
    client, _ = served.client("anna")
    for where in (f"/events/event-0/{path}.jpg", f"/events/{path}/frame.jpg", f"/events/{path}", f"/live/{path}.jpg"):
        answer = client.get(where)
        assert answer.status_code == 404, where
        assert "argon2" not in answer.text
    picture = client.get("/events/event-0/frame.jpg")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")


def test_an_oversized_body_is_refused_on_every_route_that_takes_one(served):
    client, token = served.client("anna")
    for route in served.app.routes:
        if set(route.methods) & set(SAFE_METHODS):
            continue
        answer = client.post(filled(route), content=b"x" * 70_000, headers={"X-CSRF-Token": token})
        assert answer.status_code == 413, route.path


_WRITTEN: list[list[str]] = []  # an audit hook stays for good; it notes into the last of these lists


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if not _WRITTEN:
        return
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        if flags & 0o3103 or any(letter in str(arguments[1]) for letter in "wax+"):  # to write, to make, to cut
            _WRITTEN[-1].append(str(arguments[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod", "os.truncate") or (
        event == "sqlite3.connect" and "mode=ro" not in str(arguments[0])
    ):
        _WRITTEN[-1].append(str(arguments[0]))


@contextmanager
def written_files():
    """The files that this process opens to write, makes, moves or deletes in the block."""
    _WRITTEN.append([])
    if len(_WRITTEN) == 1:
        sys.addaudithook(_note)
    yield _WRITTEN[-1]
    _WRITTEN.pop()


def test_no_request_of_any_kind_to_any_route_ends_in_a_bug_or_writes_outside_the_state_folder(tmp_path, bundle):
    with page_over_state(tmp_path, bundle, [{}, {"label": "rust"}]) as served:
        routes = [route for route in served.app.routes if route.path not in (ENDLESS, ENDING)]
        clients = [served.client(name, raise_bugs=True) for name in ("", "wall", "anna", "anna", "anna")]
        known = ["event-0", "event-1", "yard", "rust", "frame", "heatmap", "thumb", "right", "other", "0.5", "24h"]
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "state"}
        with written_files() as written:
            statuses = find_no_bug(routes, clients, known, examples=15)
        assert {200, 303, 400, 403, 404, 405} <= set(statuses)
        hypothesis = str(ROOT / ".hypothesis")  # its own notes
        state = str(served.settings.station.state_dir)
        assert {path for path in written if not path.startswith((state, f"file:{state}", hypothesis))} == set()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "state"} == before


@pytest.mark.parametrize("hours", ["1e999", "nan", "-1", "0", 10**400, 1e300, [], {}, True, None, "ten"])
def test_a_length_of_time_that_is_none_is_told(served, hours):
    client, token = served.client("anna")
    sent = {"hours": hours} if hours is not None else {}
    for action in ("snooze", "maintenance"):
        answer = client.post(f"/cameras/yard/{action}", json=sent, headers={"X-CSRF-Token": token})
        assert answer.status_code in (200, 400) if hours is True else answer.status_code == 400, (action, hours)


def test_settings_are_not_where_a_browser_could_get_them(served):
    client, _ = served.client("anna")
    for name in ("station.toml", "users.toml", "state/outbox.sqlite3", "state/judgements.sqlite3"):
        assert client.get(f"/{name}").status_code == 404
        assert client.get(f"/static/x/{Path(name).name}").status_code == 404


def test_markup_in_labels_runs_in_no_browser_whatever_is_pressed(served, browser):
    with serving(served.app) as port:
        context = browser.new_context(bypass_csp=True)  # so that nothing but the escaping keeps it from running
        page = context.new_page()
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        page.goto(f"http://127.0.0.1:{port}/events/event-1")
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill(PASSWORDS["anna"])
        page.keyboard.press("Enter")
        page.locator("#pane").wait_for()
        for key in ("j", "k", "m", "o", "?", "Escape"):
            page.keyboard.press(key)
        for path in ("/", "/night", "/cameras", "/thresholds", "/events?label=" + quote(EVIL), "/events/event-2"):
            page.goto(f"http://127.0.0.1:{port}{path}")
            assert page.locator("img[src='x']").count() == 0, path
        context.close()


def test_brute_force_at_the_stations_door_is_slowed_down_and_leaves_a_line(served):
    client, _ = served.client()
    token = client.get("/login").text.partition('name="csrf" value="')[2].partition('"')[0]
    statuses = [
        client.post("/login", data={"name": "mallory", "password": f"guess {n}", "csrf": token}).status_code
        for n in range(8)
    ]
    assert statuses == [401] * 5 + [429] * 3
    lines = [(line.who, line.what) for line in served.desk.judgements.audit_lines(1000) if line.who == "mallory"]
    assert lines == [("mallory", "login refused")] * 5
