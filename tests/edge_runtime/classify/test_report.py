"""The page to hand in: what was not looked at first, every verdict, small, self-contained, whole or said to be not."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.classify.inputs import Inputs
from edge_runtime.classify.report import CLEAR_BYTES, LEFT_OUT, open_report, with_pictures
from edge_runtime.classify.results import Result
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.media.file_kinds import OWN, file_kind
from tests.support import spot_bundle
from tests.support.interrupts import HEARING_INTERRUPTS
from tests.support.pictures import GREEN, RED, picture, write

NAME = "<script>alert(1)</script> & Kühler 🔥.png"


def evaluator_of(folder: Path) -> Evaluator:
    bundle = open_bundle(folder)
    return Evaluator(bundle, open_engine(bundle, "cpu", "fp32").engine)


@pytest.fixture(scope="module")
def evaluator(packed) -> Evaluator:
    return evaluator_of(packed)


def judged(evaluator: Evaluator, frame: np.ndarray, name: str, **known) -> Result:
    result = Result(Path(name), evaluation=evaluator.evaluate(frame), **known)
    return with_pictures(result, frame, evaluator.bundle.manifest)


def test_it_tells_first_what_was_not_looked_at(evaluator, tmp_path):
    with open_report(tmp_path / "r.html", evaluator, Inputs([])) as report:
        report.add(judged(evaluator, picture(RED), "red.png"))
        report.add(Result(Path("IMG_1.HEIC"), "IMG_1.HEIC is HEIC, and its library is missing"))
        report.add(judged(evaluator, picture(GREEN), "scan.tif", page=2))
        report.whole = True
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    places = [text.index(part) for part in ("Not judged (1)", "Flagged as a fault (1)", "Nothing flagged (1)")]
    assert places == sorted(places)
    assert "IMG_1.HEIC is HEIC, and its library is missing" in text
    assert "<strong>rust</strong> probability 0.995, threshold 0.400" in text
    assert "scan.tif page 2" in text
    assert "1 flagged as a fault. 1 not judged." in text
    assert text.count("<img") == 3  # the fault has its map too
    assert evaluator.bundle.digest in text


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ((), "not everything was looked at"),
        (("green",), "No fault flagged in anything that was given"),
        (("green", "missing"), "not everything was looked at"),
    ],
)
def test_it_gives_no_clean_bill_that_was_not_earned(evaluator, tmp_path, results, words):
    known = {"green": judged(evaluator, picture(GREEN), "g.png"), "missing": Result(Path("m.png"), "m.png is gone")}
    with open_report(tmp_path / "r.html", evaluator, Inputs([])) as report:
        for name in results:
            report.add(known[name])
        report.whole = True
    assert words in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_names_are_escaped_and_nothing_is_asked_from_outside(evaluator, tmp_path):
    with open_report(tmp_path / "r.html", evaluator, Inputs([])) as report:
        report.add(judged(evaluator, picture(RED), NAME, notes=("<b>odd</b>",)))
        report.add(Result(Path(NAME), f"{NAME} \x1b[31m \udcff is broken"))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", text)


def test_it_is_known_as_own_output(evaluator, tmp_path):
    with open_report(tmp_path / "r.html", evaluator, Inputs([])):
        pass
    assert file_kind(tmp_path / "r.html").name == OWN


def test_a_map_that_is_no_evidence_says_so(tmp_path):
    spots = evaluator_of(spot_bundle.make_bundle(tmp_path / "bundle", evidence="pictures"))
    with open_report(tmp_path / "r.html", spots, Inputs([])) as report:
        report.add(judged(spots, spot_bundle.scene("line", (4, 8)), "a.png"))
    assert "the map is not evidence" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_hundreds_of_pictures_stay_bounded(evaluator, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3)).astype(np.uint8)
    green = judged(evaluator, picture(GREEN), "g.png")
    large = Result(green.path, evaluation=green.evaluation, picture=cv2.imencode(".jpg", noise)[1].tobytes())
    assert large.picture is not None
    count = CLEAR_BYTES // len(large.picture) + 50
    with open_report(tmp_path / "r.html", evaluator, Inputs([])) as report:
        for _ in range(count):
            report.add(large)
        report.add(judged(evaluator, picture(RED), "red.png"))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert text.count("g.png") == count
    assert text.count(LEFT_OUT) == 50
    assert "red.png" in text
    assert len(text) < 1.5 * CLEAR_BYTES


def test_a_page_that_cannot_be_written_is_told_before_anything_is_judged(evaluator, tmp_path):
    with (
        pytest.raises(InputError, match="cannot be written"),
        open_report(tmp_path / "no" / "r.html", evaluator, Inputs([])),
    ):
        raise AssertionError("must not begin")


def test_a_pipe_is_not_replaced_and_a_link_stays_one(evaluator, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"), open_report(tmp_path / "pipe", evaluator, Inputs([])):
        raise AssertionError("must not begin")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link.html").symlink_to("page.html")
    with open_report(tmp_path / "link.html", evaluator, Inputs([])):
        pass
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "page.html").is_file()


def test_a_failed_run_leaves_a_page_that_says_so(evaluator, tmp_path):
    def fail() -> None:
        with open_report(tmp_path / "r.html", evaluator, Inputs([])) as report:
            report.add(judged(evaluator, picture(GREEN), "g.png"))
            raise RuntimeError("out of order")

    with pytest.raises(RuntimeError):
        fail()
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "The run did not end" in text
    assert "not everything was looked at" in text
    assert "g.png" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_what_it_had_seen(classify, tmp_path, number):
    red, page = write(tmp_path / "red.png", picture(RED)), tmp_path / "r.html"
    command = [sys.executable, "-m", "edge_runtime.classify", "-", "--report", str(page)]
    process = subprocess.Popen(
        [*HEARING_INTERRUPTS, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        process.stdin.write(f"{red}\n")
        process.stdin.flush()
        assert "rust" in process.stdout.readline()
        process.send_signal(number)
        assert "Traceback" not in process.communicate(timeout=60)[1]
    text = page.read_text(encoding="utf-8")
    assert "The run did not end" in text
    assert "red.png" in text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("width", "colours"), [(390, "dark"), (1440, "light")])
def test_a_browser_shows_it(evaluator, tmp_path, opened, width, colours):
    with open_report(tmp_path / "r.html", evaluator, Inputs([])) as report:
        report.add(Result(Path("a" * 200 + ".HEIC"), "it is HEIC, and its library is missing"))
        for place in range(4):
            report.add(judged(evaluator, cv2.resize(picture(RED), (800, 600)), f"red {place}.png"))
            report.add(judged(evaluator, picture(GREEN), f"green {place}.png"))
        report.whole = True
    page = opened(tmp_path / "r.html", width, colours)
    assert page.locator("img").count() == 12
    assert all(page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth > 0)"))
