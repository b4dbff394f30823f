"""Figures as SVG: colours that the page chooses, text that stays text, and nothing of one run of matplotlib."""

import re
from xml.etree import ElementTree

import matplotlib

from augment.report.figure_style import NAMES, OFF, SERIES, Drawing, as_svg, axes, light_theme, styled

SVG = "{http://www.w3.org/2000/svg}"
NAME = "<b>&$leak$ 漏れ"  # what a folder may be called


@styled
def drawing(name: str = "shown") -> Drawing:
    drawn = axes(200, 100)
    drawn.plot([0, 1], [0, 1], color=SERIES[7], marker="o", label=NAME)
    drawn.fill_between([0, 1], [0, 1], color=OFF, alpha=0.5)
    drawn.set_xlabel(NAME)
    drawn.legend()
    return as_svg(drawn.get_figure(root=True), name, f"what {NAME} is", "what can be seen")


def test_colours_and_letters_are_the_pages_and_in_a_file_those_of_the_light_theme():
    shown, light = drawing(), light_theme()
    assert set(NAMES) <= light.keys()
    assert not re.search(r"#[0-9a-f]{6}|DejaVu", shown.page)
    assert {"text", "muted", "off", "series-7", "font"} <= set(re.findall(r"var\(--([\w-]+)\)", shown.page))
    assert "fill: var(--off); fill-opacity: 0.5" in shown.page
    assert "#fe01" not in shown.file
    assert "var(" not in shown.file
    assert f"stroke: {light['series-7']}" in shown.file


def test_names_are_text_that_a_page_shows_as_it_is(recwarn):
    for text in vars(drawing()).values():
        root = ElementTree.fromstring(text)
        assert [element.text for element in root.iter(f"{SVG}text")].count(NAME) == 2
        assert "<b>" not in text
    assert not recwarn  # matplotlib's own font lacks these letters, and the page's does not


def test_a_screen_reader_is_told_what_it_is_and_what_can_be_seen():
    root = ElementTree.fromstring(drawing().page)
    told = {element.get("id"): element.text for element in root}
    assert root.get("role") == "img"
    assert told[root.get("aria-labelledby")] == f"what {NAME} is"
    assert told[root.get("aria-describedby")] == "what can be seen"


def test_figures_on_one_page_share_no_identifier_and_no_rule():
    one, other = drawing("one").page, drawing("other").page
    ids = [set(re.findall(r' id="([^"]*)"', text)) for text in (one, other)]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])
    assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', one)) <= {(found, "") for found in ids[0]} | {
        ("", found) for found in ids[0]
    }
    assert "<style" not in one


def test_the_same_figure_is_the_same_text_and_matplotlibs_settings_are_left_alone():
    before = dict(matplotlib.rcParams)
    first = drawing()
    assert first == drawing()
    assert dict(matplotlib.rcParams) == before
    assert not re.search(r"20\d\d-\d\d|matplotlib", first.file)
