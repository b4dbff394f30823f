"""The report in a real browser: nothing is requested, a phone can show it, and it passes axe."""

from dataclasses import replace

import pytest

from augment.data.feedback import FEEDBACK, FeedbackDocument, write_feedback
from augment.evaluation.learning_curve import SHARES
from augment.json_objects import as_plain
from augment.records import CURATION, RunFolder
from augment.report import contact_sheets
from augment.report.build import write_report
from augment.settings import write_settings
from augment.stages import compare, train
from tests.augment.report.test_feedback import summary as feedback_summary
from tests.support.drawn_run import tiny_run
from tests.support.made_documents import made

SHOWN = ((390, "light"), (390, "dark"), (1440, "light"), (1440, "dark"))  # pixels of a phone and of a desk


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """A report with every part that a run can have."""
    settings, folder = tiny_run(tmp_path_factory.mktemp("browser"))
    settings = replace(settings, train=replace(settings.train, arms=("real", "combined"), steps=2))
    write_settings(settings, folder.path / "pipeline.toml")
    _complete_curation(folder)
    train.run(settings, folder)
    compare.run(settings, folder)
    (folder.path / FEEDBACK).mkdir()
    write_feedback(folder.path / FEEDBACK, FeedbackDocument(records=[], summary=feedback_summary()))
    return write_report(folder)


def _complete_curation(folder: RunFolder) -> None:
    """The same curation with contact sheets and a learning curve."""
    old = folder.require(CURATION)
    labels = sorted({record.label for record in old.records})
    says = ("enough", "photograph", "too few")
    curve = {
        "recall_target": 0.9,
        "shares": list(SHARES),
        "macro_recall": [0.5, 0.6, 0.65, 0.7],
        "classes": {
            label: {"images": [1, 2, 3, 4], "recall": [0.4, 0.5, 0.6, 0.7], "now": 5, "says": word, "photograph": 7}
            for label, word in zip(labels, says, strict=True)
        },
    }
    sheets = contact_sheets.write(folder, old.records)
    summary = {**as_plain(old.summary), "sheets": as_plain(sheets), "learning_curve": curve}
    folder.write(made(CURATION, old.inputs.parent, as_plain(old.records), summary))


@pytest.mark.parametrize(("width", "colours"), SHOWN)
def test_the_page_stands_alone_fits_and_is_accessible(opened, page_path, width, colours):
    page = opened(page_path, width, colours)
    assert page.locator("#verdict .headline").inner_text().split()[0] in ("INCONCLUSIVE", "PASS", "FAIL")
    main = page.locator("main").bounding_box()
    assert main["width"] > (0.8 if width > 1000 else 0.99) * width  # a desk's width is used
    sizes = page.evaluate(
        """[...document.querySelectorAll('.drawn svg')].map(drawing =>
        12 * drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width)"""
    )
    assert len(sizes) >= 6
    assert 9.8 < min(sizes) <= max(sizes) < 16  # pixels of a figure's letters


def test_the_verdict_is_seen_without_scrolling_and_a_box_swaps_the_colours(browser, page_path):
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page.goto(page_path.as_uri())
    verdict = page.locator("#verdict").bounding_box()
    assert verdict["y"] + verdict["height"] < 900
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_label("Swap light and dark").check()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
    page.close()


def test_the_contents_stay_in_sight_and_lead_to_each_section(browser, page_path):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(page_path.as_uri())
    links = page.locator(".contents a")
    for place in range(links.count()):
        links.nth(place).click()
        heading = page.locator("section:target h2, #verdict:target .headline").first.bounding_box()
        assert 0 < heading["y"] < 900
        assert links.first.is_visible()
        assert links.first.bounding_box()["y"] > 0
    page.close()


def test_the_page_forbids_itself_any_request(browser, page_path):
    """With its own policy in force, an image that would phone home is stopped before it leaves."""
    page = browser.new_page()
    failures = []
    page.on("requestfailed", lambda request: failures.append((request.url, request.failure)))
    page.goto(page_path.as_uri())
    page.evaluate(
        "new Promise(done => { const img = new Image(); img.onerror = done; img.onload = done;"
        " img.src = 'http://127.0.0.1:9/x.png'; document.body.append(img) })"
    )
    assert failures == [("http://127.0.0.1:9/x.png", "csp")]
    page.close()
