"""The style of pages that are one file."""

import pytest

from edge_runtime.web.page_style import OTHER_COLOURS, page_style, theme


def test_it_asks_for_nothing_and_ends_no_style_element():
    style = page_style()
    assert "url(" not in style
    assert "@import" not in style
    assert "<" not in style


def test_the_systems_wish_chooses_among_the_themes_of_the_one_look():
    style = page_style()
    light, contrast = theme(style, "light"), theme(style, "contrast")
    assert "--ground: #f3f6f9" in light
    assert "--series-0: #0067b1" in light
    assert "--series-0: #8fd3ff" in contrast
    assert f"@media (prefers-color-scheme: light) {{ :root {{{light}}}" in style
    assert f"@media (prefers-contrast: more) {{ :root {{{contrast}}}" in style
    assert f"@media print {{ :root, {OTHER_COLOURS} {{{light}}}" in style


def test_a_theme_that_is_not_there_is_an_error():
    with pytest.raises(AssertionError, match="no theme dusk"):
        theme(page_style(), "dusk")
