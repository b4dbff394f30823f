"""The page in a real browser, with real pictures, a real bundle and a real journal; what it refuses, by requests."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the page needs the extra `field` or `central`")

from starlette.testclient import TestClient

from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.labelling.app import label_app
from edge_runtime.labelling.items import CONTRADICTED, SPREAD, UNBOXED, UNLABELLED, Item, Look
from edge_runtime.labelling.journal import CANNOT_TELL, LABEL, SOMETHING_ELSE, Journal
from edge_runtime.labelling.proposals import judged_look
from edge_runtime.labelling.serving import show
from edge_runtime.media.image_files import read_image
from edge_runtime.web.local_access import LocalAccess
from tests.support.spot_bundle import FAULTS, LABELS, make_bundle
from tests.support.spotted_pictures import SPOT, write_picture

NASTY = "<img src=x onerror=alert(1)>.png"


@dataclass
class FolderItems:
    """Pictures of one folder, judged by the spot bundle."""

    root: Path
    evaluator: Evaluator
    order: list[Item]
    labels: tuple[str, ...] = LABELS
    faults: tuple[str, ...] = FAULTS
    asked: list[str] = field(default_factory=list)

    def picture(self, item: Item) -> np.ndarray:
        return read_image(self.root / item.id).frame

    def look(self, item: Item) -> Look:
        self.asked.append(item.id)
        frame, manifest = self.picture(item), self.evaluator.bundle.manifest
        evaluation = self.evaluator.evaluate(frame)
        boxes = ((8.0, 8.0, 20.0, 20.0),) if item.label in FAULTS and item.reason == SPREAD else ()
        return judged_look(frame, boxes, evaluation, manifest)


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    bundle = open_bundle(make_bundle(tmp_path_factory.mktemp("spots")))
    return Evaluator(bundle, open_engine(bundle).engine)


@pytest.fixture
def items(tmp_path, evaluator):
    names = [
        ("a.png", True, "pole_fine", CONTRADICTED, "pole_hot"),
        ("b.png", True, "pole_hot", UNBOXED, ""),
        (NASTY, False, "", UNLABELLED, ""),
        ("d.png", False, "pole_fine", SPREAD, ""),
        ("e.png", True, "pole_hot", SPREAD, ""),
    ]
    for place, (name, spot, *_) in enumerate(names):
        write_picture(tmp_path / name, spot, place)
    order = [Item(name, label, reason, rival, 0.98 if rival else None) for name, _, label, reason, rival in names]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return FolderItems(tmp_path, evaluator, [*order, Item("broken.png", "pole_fine", SPREAD)])


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "labels.jsonl") as opened:
        yield opened


# By requests


@pytest.fixture
def client(items, journal):
    access = LocalAccess("anna")
    app = label_app(items, journal, access, lambda: ["written"], "yard")
    with TestClient(app, base_url="http://127.0.0.1") as found:
        assert found.get(access.address(80).removeprefix("http://127.0.0.1:80")).status_code == 200
        page = found.get("/", headers={"accept": "text/html"}).text
        found.headers["X-CSRF-Token"] = json.loads(page.split('id="page">')[1].split("</script>")[0])["csrf"]
        found.headers["accept"] = "application/json"
        yield found


def give(client, **answer):
    return client.post("/answers", json={"answers": [{"number": 0, "answer": "label", "label": "pole_fine", **answer}]})


def test_an_answer_is_in_the_journal_before_the_page_says_so(client, journal, tmp_path):
    said = give(client, label="pole_hot", boxes=[[1, 2, 30.44, 40]], seconds=2.5, proposed=True).json()
    assert (said["answered"], said["total"]) == (1, 6)
    line = json.loads((tmp_path / "labels.jsonl").read_text())
    assert line["who"] == "anna"
    assert line["answers"] == [
        {"id": "a.png", "answer": "label", "label": "pole_hot", "boxes": [[1.0, 2.0, 30.4, 40.0]],
         "width": 320, "height": 160, "seconds": 2.5, "proposed": True}
    ]  # fmt: skip
    assert client.get("/items/0").json()["answered"]["who"] == "anna"


def test_boxes_are_cut_at_the_border_and_healthy_pictures_have_none(client, journal):
    give(client, label="pole_hot", boxes=[[-5, -5, 15, 15], [310, 150, 99, 99]])
    assert journal.current()["a.png"].answer.boxes == ((0, 0, 10, 10), (310, 150, 10, 10))
    give(client, label="pole_fine", boxes=[[1, 1, 9, 9]])
    assert journal.current()["a.png"].answer.boxes == ()


def test_many_at_once_keep_the_boxes_of_a_label_that_stays_and_are_undone_together(client, journal):
    answers = [{"number": number, "answer": "label", "label": "pole_hot"} for number in (0, 4)]
    client.post("/answers", json={"answers": answers})
    assert {name: given.answer.boxes for name, given in journal.current().items()} == {
        "a.png": (),
        "e.png": ((8, 8, 20, 20),),
    }
    assert sorted(client.post("/undo").json()["numbers"]) == [0, 4]
    assert journal.current() == {}
    assert client.post("/undo").json()["numbers"] == []


@pytest.mark.parametrize(
    "answer",
    [
        {"number": -1},
        {"number": 6},
        {"number": True},
        {"number": "0"},
        {"answer": "delete"},
        {"label": "no_such"},
        {"label": "pole_hot", "boxes": [[1, 2, 3]]},
        {"label": "pole_hot", "boxes": [[1, 2, 3, "x"]]},
        {"label": "pole_hot", "boxes": [[400, 2, 3, 3]]},
        {"label": "pole_hot", "boxes": [[1, 2, 3, 1e400]]},
        {"label": "pole_hot", "boxes": [[1, 1, 9, 9]] * 65},
        {"label": "pole_hot", "boxes": "all"},
        {"answer": "something_else", "note": "x" * 201},
    ],
)
def test_what_is_no_answer_is_refused_with_a_sentence_and_keeps_nothing(client, journal, answer):
    body = json.dumps({"answers": [{"number": 0, "answer": "label", "label": "pole_fine", **answer}]})
    refused = client.post("/answers", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 400
    assert (
        "load the page again" in refused.json()["error"]
        or "expected" in refused.json()["error"]
        or "draw" in refused.json()["error"]
    )
    assert journal.current() == {}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"answers":[]}', b'{"answers":[1]}', b"[" * 5000, b"\xff"])
def test_a_body_that_is_no_list_of_answers_is_refused(client, body):
    assert client.post("/answers", content=body, headers={"content-type": "application/json"}).status_code == 400


def test_nothing_is_given_or_taken_without_the_session_and_its_token(client, items, journal):
    bare = TestClient(client.app, base_url="http://127.0.0.1")
    for path in ("/", "/grid", "/items", "/items/0", "/pictures/0", "/small/0", "/maps/0/1"):
        assert bare.get(path).status_code == 401
    for path in ("/answers", "/undo", "/finish"):
        assert bare.post(path, json={}).status_code in (401, 403)
        assert client.post(path, json={}, headers={"X-CSRF-Token": "wrong"}).status_code == 403
    assert journal.current() == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/pictures/99", 404), ("/pictures/..%2f..%2fetc%2fpasswd", 404), ("/pictures/-1", 404), ("/maps/0/99", 404),
     ("/maps/5/0", 400), ("/items?start=-1", 400), ("/items?start=1e9", 400), ("/items/999999999999999999999", 404)],
)  # fmt: skip
def test_places_that_do_not_exist_are_told_as_such(client, path, status):
    assert client.get(path).status_code == status


def test_a_picture_that_cannot_be_read_is_told_and_the_others_go_on(client):
    assert "broken.png" in client.get("/items/5").json()["unread"]
    assert client.get("/pictures/5").status_code == 400
    assert client.get("/small/5").status_code == 400
    assert client.get("/small/3").headers["content-type"] == "image/jpeg"


def test_filters_leave_what_they_say(client):
    def numbers(query):
        return [one["number"] for one in client.get(f"/items?{query}").json()["items"]]

    assert numbers("reason=spread") == [3, 4, 5]
    assert numbers("label=pole_hot&start=1") == [4]
    give(client)
    assert 0 not in numbers("open=1")


# In a browser


@pytest.fixture
def served(items, journal):
    access = LocalAccess("anna")
    app = label_app(items, journal, access, lambda: ["yard-labels.csv written"], "yard")
    said, ready = [], threading.Event()

    def say(line: str) -> None:
        said.append(line)
        ready.set()

    stop = threading.Event()
    thread = threading.Thread(target=show, args=(app, access, 0, False, say, stop))
    thread.start()
    assert ready.wait(20)
    yield said[0].split()[4]
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


class Person:
    """Plays with the page as a person does, and notes what the browser asks for and complains of."""

    def __init__(self, browser, address: str, width: int, touch: bool = False) -> None:
        context = browser.new_context(viewport={"width": width, "height": 900}, has_touch=touch, bypass_csp=False)
        context.set_default_timeout(10000)
        self.page, self.asked, self.said = context.new_page(), [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(address)
        self.origin = address.split("/enter")[0]

    def at(self, number: int) -> None:
        self.page.wait_for_selector(f'#stage[data-number="{number}"]:not([aria-busy])')

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen."""
        return tuple(
            self.page.evaluate(
                "([x, y]) => { const to = document.getElementById('boxes').getScreenCTM();"
                " const p = new DOMPoint(x, y).matrixTransform(to); return [p.x, p.y]; }",
                [x, y],
            )
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.to_screen(*start))
        mouse.down()
        mouse.move(*self.to_screen(*((a + b) / 2 for a, b in zip(start, end, strict=True))))
        mouse.move(*self.to_screen(*end))
        mouse.up()

    def check(self) -> None:
        assert [url for url in self.asked if not url.startswith((self.origin, "data:"))] == []
        assert self.said == []
        self.page.context.close()


def given(journal) -> dict[str, tuple]:
    return {name: (one.answer.answer, one.answer.label, one.answer.boxes) for name, one in journal.current().items()}


def test_labels_and_boxes_by_keys_with_undo(browser, served, journal):
    person = Person(browser, served, 1440)
    person.at(0)
    assert "One of the two is wrong" in person.page.text_content("#why")
    person.press("4")  # pole_hot: the model's box comes with it
    person.page.wait_for_selector(".box")
    person.press("4")  # the same key again confirms
    person.at(1)
    answer = journal.current()["a.png"].answer
    assert (answer.label, answer.proposed) == ("pole_hot", True)
    assert answer.boxes[0] == pytest.approx(SPOT, abs=24)
    person.press("p", "x", "b")  # the proposal away, an own one instead
    before = person.page.text_content("#measures")
    person.press("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowDown")
    assert person.page.text_content("#measures") != before
    person.press("Escape", "Enter")
    person.at(2)
    assert journal.current()["b.png"].answer.boxes[0] == pytest.approx((136.3, 69.7, 56.3, 29.7), abs=1)
    assert not journal.current()["b.png"].answer.proposed
    person.press("u")
    person.at(1)
    assert "b.png" not in given(journal)
    person.press("c")
    person.at(2)
    person.press("0")
    person.page.fill("#else-note", "a bird")
    person.press("Enter")
    person.at(3)
    person.press("3")  # healthy: no box to wait for
    person.at(4)
    assert given(journal)["b.png"][0] == CANNOT_TELL
    assert journal.current()[NASTY].answer.note == "a bird"
    assert given(journal)[NASTY][0] == SOMETHING_ELSE
    assert given(journal)["d.png"] == (LABEL, "pole_fine", ())
    person.check()


def test_boxes_by_mouse_are_drawn_moved_and_pulled(browser, served, journal):
    person = Person(browser, served, 1440)
    person.at(0)
    person.drag((100, 30), (180, 90))  # on a picture that is taken for healthy: a fault then
    assert person.page.get_attribute('[data-label="pole_hot"]', "aria-checked") == "true"
    person.drag((140, 60), (150, 70))
    person.drag((190, 100), (200, 110))  # its corner
    person.page.click("#confirm")
    person.at(1)
    assert journal.current()["a.png"].answer.boxes == (pytest.approx((110, 40, 90, 70), abs=2),)
    person.check()


def test_a_phone_has_all_of_it_by_touch_and_a_later_start_goes_on(browser, served, journal):
    person = Person(browser, served, 390, touch=True)
    person.at(0)
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
    person.page.tap('[data-label="pole_hot"]')
    person.page.tap("#confirm")
    person.at(1)
    person.page.goto(person.origin)
    person.at(1)
    person.page.tap("#finish")
    person.page.wait_for_selector(".toast >> text=yard-labels.csv written")
    person.check()


def test_many_at_once_by_keys_and_mouse(browser, served, journal):
    person = Person(browser, served, 1440)
    person.page.goto(person.origin + "/grid")
    person.page.wait_for_selector("[role=option]")
    person.press("ArrowRight", " ", "ArrowRight", " ")
    person.page.wait_for_selector("text=2 chosen of 6")
    person.page.click("[data-number='3']")
    person.press("3")
    person.page.wait_for_selector("text=3 of 6 answered")
    assert set(given(journal)) == {"a.png", "b.png", "d.png"}
    person.page.click(".toast button")
    person.page.wait_for_selector("text=0 of 6 answered")
    assert given(journal) == {}
    person.said = [line for line in person.said if "400" not in line]  # broken.png has no small picture
    person.check()


@pytest.mark.parametrize(("path", "width"), [("/", 390), ("/grid", 1440)])
def test_axe_finds_nothing(browser, served, path, width):
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(viewport={"width": width, "height": 844}, bypass_csp=True)  # axe is a script
    page.goto(served)
    page.goto(served.split("/enter")[0] + path)
    page.wait_for_selector("#stage[data-number], [role=option]")
    if path == "/":
        page.keyboard.press("4")
        page.wait_for_selector(".box")
    found = Axe().run(page)
    assert [(rule["id"], node["html"][:120]) for rule in found.response["violations"] for node in rule["nodes"]] == []
    page.close()
