import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipfile
from contextlib import closing
from dataclasses import replace

import cv2
import pytest

pytest.importorskip("starlette", reason="the page needs the extra `field`")
pytest.importorskip("securesystemslib", reason="archives are signed")

from starlette.testclient import TestClient

from augment.station_demo.files import BUNDLE
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify import opening, review
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.judgements.records import Verdict
from edge_runtime.judgements.store import Judgements
from edge_runtime.labelling.app import label_app
from edge_runtime.labelling.journal import CANNOT_TELL, LABEL, SOMETHING_ELSE, Answer, Journal
from edge_runtime.media.jpeg import encode_jpeg
from edge_runtime.updates.identity.station_key import PUBLIC_FILE, verify
from edge_runtime.web.local_access import LocalAccess
from tests.support.interrupts import HEARING_INTERRUPTS
from tests.support.spot_bundle import make_bundle
from tests.support.spotted_pictures import HEIGHT, WIDTH, write_yard


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("spots"))


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("RAREFAULT_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def items(tmp_path, bundle):
    folder = write_yard(tmp_path / "visit", fine=3, hot=2)
    opened = open_bundle(bundle)
    evaluator = Evaluator(opened, open_engine(opened).engine)
    return review.ReviewItems(folder, evaluator, review.classified(folder, evaluator, print))


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("manifest.json")), json.loads(archive.read("feedback.json"))


def test_what_was_answered_leaves_signed_once_and_the_rest_stays(tmp_path, items, state):
    names = sorted(items.seen)
    assert [items.seen[name].label for name in names] == ["pole_fine"] * 3 + ["pole_hot"] * 2
    with Journal(tmp_path / "visit-review.jsonl") as journal:
        terminal = []
        finish = review._finish(items, journal, tmp_path / "out", "laptop-7", terminal.append)
        assert finish() == ["nothing new to hand in"]
        box = (WIDTH / 4, HEIGHT / 4, WIDTH / 2, HEIGHT / 2)
        journal.give([Answer(names[3], LABEL, "pole_hot", (box,), WIDTH, HEIGHT)], "anna")
        journal.give([Answer(names[4], LABEL, "pole_fine")], "anna")
        journal.give([Answer(names[0], LABEL, "pole_hot", (), WIDTH, HEIGHT)], "anna")
        journal.give(
            [Answer(names[1], SOMETHING_ELSE, note="a\u00a0bird\u200b "), Answer(names[2], CANNOT_TELL)], "anna"
        )
        (state / "updates").mkdir(parents=True, exist_ok=True)
        with closing(Judgements(state)) as store:  # of another folder, whose page is open too
            given = journal.current()[names[4]]
            made = review.judgement_of(items.seen[names[4]], given, items.evaluator.bundle)
            store.add(replace(made, id="review-elsewhere", event="picture-elsewhere"))
        said = finish()
        assert "5 judgements and 5 pictures" in said[0]
        assert said[-1].endswith("by which they enrol laptop-7")
        assert terminal[-len(said) :] == said  # what the page shows for a moment stays there
        assert finish() == ["nothing new to hand in"]
        journal.give([Answer(names[4], LABEL, "pole_hot", (), WIDTH, HEIGHT)], "anna")
        assert "1 judgements and 0 pictures" in finish()[0]
    first, second = sorted((tmp_path / "out").glob("*.zip"))
    manifest, content = contents(first)
    verify(manifest, json.loads((state / "updates" / PUBLIC_FILE).read_text()))
    assert manifest["station"] == "laptop-7"
    by_event = {one["event"]: one for one in content["entries"]}
    told = [by_event[items.seen[name].event] for name in names]
    assert [one["verdict"] for one in told] == ["other", "other", "unsure", "right", "wrong"]
    assert told[0]["true_label"] == "pole_hot"
    assert told[1]["true_label"] == "a bird"  # a word of her own, and no class of the model
    assert told[3]["boxes"] == [[0.25, 0.25, 0.5, 0.5]]
    assert told[3]["model"] == items.evaluator.bundle.digest
    assert {one["name"] for one in content["examples"]} == set(names)
    assert contents(second)[1]["entries"][0]["verdict"] == "right"


def test_the_page_says_of_a_large_picture_what_the_classification_said(tmp_path):
    evaluator = opening.open_evaluator(BUNDLE)  # it decodes large JPEG files at a part of their size
    small = cv2.imread(str(sorted((BUNDLE / "golden").glob("*.png"))[0]))
    large = cv2.resize(small, (1440, 810), interpolation=cv2.INTER_NEAREST)
    (tmp_path / "large.jpg").write_bytes(encode_jpeg(large, 90))
    items = review.ReviewItems(tmp_path, evaluator, review.classified(tmp_path, evaluator, print))
    look, seen = items.look(items.order[0]), items.seen["large.jpg"]
    assert look.frame.shape == (810, 1440, 3)
    assert (look.proposal.label, look.proposal.probability) == (seen.label, pytest.approx(seen.probability, abs=1e-6))


def test_those_of_which_the_model_is_least_sure_come_first(items):
    doubts = [items.seen[item.id].doubt for item in items.order]
    assert doubts == sorted(doubts)


@pytest.mark.parametrize(
    ("said", "answered", "verdict"),
    [
        ("pole_hot", "pole_hot", Verdict.RIGHT),
        ("pole_hot", "pole_fine", Verdict.WRONG),
        ("pole_hot", "line_fine", Verdict.OTHER),
        ("pole_hot", "line_hot", Verdict.OTHER),
        ("pole_fine", "pole_hot", Verdict.OTHER),
        ("pole_fine", "pole_fine", Verdict.RIGHT),
    ],
)
def test_an_answer_is_a_verdict_on_what_the_model_said(items, said, answered, verdict):
    assert review.verdict_of(said, answered, items.evaluator.bundle.manifest) is verdict


def test_the_command_shows_its_page_and_ends_by_itself_when_asked(tmp_path, bundle, state):
    folder = write_yard(tmp_path / "visit", fine=1, hot=1)
    command = [*HEARING_INTERRUPTS, sys.executable, "-m", "edge_runtime.classify", "review"]
    command += [str(folder), "--bundle", str(bundle)]
    with subprocess.Popen([*command, "--no-browser", "--who", "anna"], stderr=subprocess.PIPE, text=True) as process:
        address = None
        for line in process.stderr:
            if address := re.search(r"http://\S+", line):
                break
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address[0], timeout=20) as answer:
            assert "anna" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert (tmp_path / "visit-review.jsonl").exists()
    assert not list(tmp_path.glob("*.zip"))


def test_a_name_that_is_no_text_keeps_no_picture_from_being_judged(tmp_path, bundle, state):
    folder = write_yard(tmp_path / "visit", fine=1, hot=1)
    strange = os.fsencode(folder) + b"/two\nlines \xff\xfe.png"
    shutil.copy(next(folder.rglob("hot*.png")), strange)
    opened = open_bundle(bundle)
    evaluator = Evaluator(opened, open_engine(opened).engine)
    items = review.ReviewItems(folder, evaluator, review.classified(folder, evaluator, print))
    name = "two\nlines \\xff\\xfe.png"
    assert name in [item.id for item in items.order]
    access = LocalAccess("anna")
    with Journal(tmp_path / "visit-review.jsonl") as journal:
        finish = review._finish(items, journal, tmp_path / "out", "laptop-7", print)
        client = TestClient(label_app(items, journal, access, finish, "review"), base_url="http://127.0.0.1")
        client.get(access.address(80).partition("127.0.0.1:80")[2])
        assert name in [item["id"] for item in client.get("/items").json()["items"]]
        journal.give([Answer(name, LABEL, "pole_hot", (), WIDTH, HEIGHT)], "anna")
        assert "1 judgements and 1 pictures" in finish()[0]
