"""Requests of every kind to every route of the labelling page: none ends in a bug."""

import json

import pytest

pytest.importorskip("starlette", reason="the page needs the extra `field` or `central`")

from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.labelling.app import label_app
from edge_runtime.labelling.items import SPREAD, Item
from edge_runtime.labelling.journal import Journal
from edge_runtime.web.local_access import LocalAccess
from tests.edge_runtime.labelling.test_app import FolderItems
from tests.support.route_fuzz import find_no_bug
from tests.support.spot_bundle import make_bundle
from tests.support.spotted_pictures import write_picture
from tests.support.web_pages import browser_client, token_in


@pytest.fixture
def page(tmp_path):
    """The application, and the browser of the person who started it, with its session's token."""
    bundle = open_bundle(make_bundle(tmp_path / "bundle"))
    evaluator = Evaluator(bundle, open_engine(bundle).engine)
    for number in range(2):
        write_picture(tmp_path / f"{number}.png", bool(number), number)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    names = ("0.png", "1.png", "broken.png")
    items = FolderItems(tmp_path, evaluator, [Item(name, "pole_fine", SPREAD) for name in names])
    with Journal(tmp_path / "labels.jsonl") as journal:
        access = LocalAccess("kim")
        app = label_app(items, journal, access, list, "pictures")
        client = browser_client(app, raise_bugs=True)
        client.get(access.address(9465))
        yield app, client, token_in(client.get("/").text)


def test_no_request_ends_in_a_bug(page):
    app, client, token = page
    clients = [(browser_client(app, raise_bugs=True), ""), *[(client, token)] * 3]
    statuses = find_no_bug(app.routes, clients, ["0", "1", "2", "label", "pole_fine"], examples=12)
    assert {200, 400, 401, 404, 405} <= set(statuses)


@pytest.mark.parametrize(
    "change", [{"note": "\ud800"}, {"seconds": 10**400}, {"boxes": [[10**400, 0, 1, 1]]}, {"boxes": [["a"] * 4]}]
)
def test_an_answer_that_cannot_be_one_is_told(page, change):
    _, client, token = page
    answer = {"number": 0, "answer": "label", "label": "pole_hot", "boxes": [[1, 1, 5, 5]], **change}
    sent = client.post("/answers", content=json.dumps({"answers": [answer]}), headers={"X-CSRF-Token": token})
    assert sent.status_code == 400
    assert "load the page again" in sent.text
