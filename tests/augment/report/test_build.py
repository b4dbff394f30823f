import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from augment.json_objects import as_plain, from_json
from augment.record_types import ClassCurve, ComparisonSummary, Evaluation, LearningCurve
from augment.records import COMPARISON, CURATION, DATASET, TRAINING, RunFolder
from augment.report import figures, sentences
from augment.report.build import Documents, limits, write_report
from augment.report.figure_style import as_svg, light_theme
from augment.settings import write_settings
from augment.stages import compare, train
from edge_runtime.bundle.errors import InputError
from edge_runtime.web.page_style import STATIC, theme
from tests.support.drawn_run import tiny_run


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> tuple[RunFolder, Path]:
    settings, folder = tiny_run(tmp_path_factory.mktemp("reported"))
    settings = replace(settings, train=replace(settings.train, arms=("real", "combined"), steps=2))
    write_settings(settings, folder.path / "pipeline.toml")
    train.run(settings, folder)
    compare.run(settings, folder)
    return folder, write_report(folder)


class Page(HTMLParser):
    """Collects tags and text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_asks_nothing_of_the_network(reported):
    page = Page(reported[1].read_text())
    assert page.open == []
    addresses = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object"})
    assert not re.search(r"url\((?!#)", reported[1].read_text())  # what a drawing defines itself is no request
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


def test_the_page_tells_verdict_numbers_and_provenance(reported):
    folder, path = reported
    text = Page(path.read_text()).text
    comparison = folder.require(COMPARISON)
    trainings = folder.require(TRAINING).records
    difference = sentences.apart(comparison.summary, trainings)
    assert sentences.HEADLINES[difference][comparison.summary.verdict] in text
    for _, answer in sentences.answers(comparison.summary, trainings):
        assert answer in text
    assert "breaker_burnt (fault)" in text
    assert "tank_ok (fault)" not in text
    for stage in (DATASET, CURATION, TRAINING, COMPARISON):
        assert folder.require(stage).digest in text
    assert "mini/painter" in text
    assert '"learning_rate": 0.003' in text
    assert "12 of 13 generated images were kept" in text


def test_text_from_outside_is_escaped(reported):
    source = reported[1].read_text()
    assert "tank_ok/&lt;b&gt;half&lt;/b&gt;.jpg" in source
    assert "<b>half" not in source
    assert "damaged JPEG &amp; cut off" in source


def test_samples_stand_beside_each_other_and_missing_ones_are_left_out(reported, tmp_path):
    folder, path = reported
    first = [attributes["alt"] for tag, attributes in Page(path.read_text()).tags if tag == "img"]
    assert sum(alt.startswith("real picture of breaker_burnt, real-") for alt in first) == 4
    assert sum(alt.startswith("generated picture of tank_ok, 2") for alt in first) == 2
    generated = folder.path / "synthetic/images/tank_ok/20.png"
    kept = generated.read_bytes()
    generated.unlink()
    try:
        again = Page(write_report(folder).read_text())
    finally:
        generated.write_bytes(kept)
    alts = [attributes.get("alt") or "" for _, attributes in again.tags]
    assert sum(alt.startswith("generated picture of tank_ok, 2") for alt in alts) == 1


def test_a_second_report_is_the_same(reported):
    folder, _ = reported
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_limits_name_what_the_numbers_cannot_show(reported):
    folder, _ = reported
    told = " ".join(limits(Documents(folder)))
    assert "mini/captioner, mini/painter, mini/writer are the small embedded ones" in told
    assert "Few test images" in told
    assert "breaker_burnt (5)" in told
    assert "Only 2 trainings per arm" in told
    assert "has no training image" not in told


def test_an_unfinished_run_names_the_command_that_is_missing(tmp_path):
    _, folder = tiny_run(tmp_path)
    with pytest.raises(InputError, match="no training document yet; run `rarefault train"):
        write_report(folder)


def test_the_minutes_of_one_picture_are_the_callers_to_say(reported):
    folder, path = reported
    assert "takes 5 minutes, as many real ones would take 1.0 hours" in Page(path.read_text()).text
    try:
        assert "takes 30 minutes, as many real ones would take 6.0 hours" in write_report(folder, 30).read_text()
        with pytest.raises(InputError, match="minutes per image are 0"):
            write_report(folder, 0)
    finally:
        write_report(folder)


def test_parts_that_a_run_lacks_are_left_out(reported):
    text = Page(reported[1].read_text()).text
    assert "What to photograph next" not in text
    assert "The packed classifier" not in text


def drawn(figure: Figure) -> str:
    return as_svg(figure, "shown", "what it is", "what can be seen").page


def test_figures_are_drawings_with_the_same_text_each_time(reported):
    summary = reported[0].require(COMPARISON).summary
    history = [
        Evaluation(step=step, training_loss=1.0, validation={"macro_f1": value}) for step, value in ((2, 0.4), (4, 0.6))
    ]
    for made in (
        lambda: figures.confusion_matrix(summary, "real"),
        lambda: figures.recall_intervals(summary),
        lambda: figures.differences(summary),
        lambda: figures.validation_curves({"real": [history], "combined": [history, history]}),
    ):
        text = drawn(made())
        assert text == drawn(made())
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert text.count("stroke: var(--series-1)") > text.count("stroke: var(--series-0)")  # two trainings beside one


def test_figures_draw_many_classes_and_classes_without_images(reported):
    summary = as_plain(reported[0].require(COMPARISON).summary)
    labels = [f"class {index:02d}" for index in range(37)]
    arm = {"recall": dict.fromkeys(labels), "confusion": np.zeros((37, 37), int).tolist()}
    summary |= {"labels": labels, "arms": {"real": arm, "combined": arm}}
    summary = from_json(ComparisonSummary, summary)
    for figure in (figures.confusion_matrix(summary, "real"), figures.recall_intervals(summary)):
        text = drawn(figure)
        root = ElementTree.fromstring(text)
        assert 300 < float(root.get("width")) < 1000
        assert 400 < float(root.get("height")) < 1500
        assert "class 36" in text


@pytest.mark.parametrize("name", ["dark", "light", "contrast"])
def test_counts_are_legible_on_every_shade_of_every_theme(name):
    sheet = "".join((STATIC / file).read_text() for file in ("base.css", "standalone.css"))
    found = dict(re.findall(r"--([\w-]+): (#\w+)", theme(sheet, name)))
    panel, accent, text, above = (np.array(to_rgb(found[key])) for key in ("panel", "accent", "text", "on-accent"))
    for share in np.linspace(0, 1, 101):
        opacity = figures.SHADES(float(share))[3]
        ends = sorted(map(_luminance, (above if share >= 0.5 else text, opacity * accent + (1 - opacity) * panel)))
        assert (ends[1] + 0.05) / (ends[0] + 0.05) >= 4.5


def _luminance(colour: np.ndarray) -> float:
    """Relative luminance of sRGB, as WCAG 2 has it."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_learning_curves_of_many_classes_are_grey_beside_their_mean():
    for count, grey in ((3, 0), (12, 12)):
        found = ClassCurve(images=[2, 4, 9], recall=[None, 0.5, 0.6], now=9, says="enough", photograph=0)
        classes = {f"class {place}": found for place in range(count)}
        curve = LearningCurve(recall_target=0.9, shares=[0.2, 0.5, 1], macro_recall=[None, 0.5, 0.6], classes=classes)
        text = drawn(figures.learning_curves(curve))
        assert text.count("stroke: var(--off)") == grey
        assert ("mean over the classes" in text) == bool(grey)
        assert ("class 2" in text) != bool(grey)


def test_a_curve_without_any_recall_is_drawn_as_its_aim_alone():
    found = ClassCurve(images=[0, 0], recall=[None, None], now=0, says="too few", photograph=0)
    curve = LearningCurve(recall_target=0.9, shares=[0.5, 1], macro_recall=[None, None], classes={"leak": found})
    assert "recall in cross-validation" in drawn(figures.learning_curves(curve))


def test_each_figure_is_a_file_of_its_own_with_the_colours_of_paper(reported):
    folder, _ = reported
    names = {path.name for path in (folder.path / "report/figures").iterdir()}
    assert {"recall.svg", "reliability.svg", "differences.svg", "confusion-real.svg"} <= names
    text = (folder.path / "report/figures/recall.svg").read_text()
    assert light_theme()["series-1"] in text
    assert "var(" not in text
