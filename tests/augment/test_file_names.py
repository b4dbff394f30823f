"""A label names files on every system, and other labels name other files."""

import pytest

from augment.file_names import safe_name


@pytest.mark.parametrize("label", ["ok", "oil leak", "Öl-Leck", "100 {ok}", "=SUM(A1)", "sound 🟢", "console", "漏れ"])
def test_a_label_that_every_system_takes_stays_as_it_is(label):
    assert safe_name(label) == label


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("CON", "%43ON"),
        ("nul.old", "%6Eul.old"),
        ("a:b", "a%3Ab"),
        ('leak "major"', "leak %22major%22"),
        ("end.", "end%2E"),
        ("100%", "100%25"),
        (".hidden", "%2Ehidden"),
        ("<b>?*|", "%3Cb%3E%3F%2A%7C"),
    ],
)
def test_what_some_system_forbids_is_written_as_in_addresses(label, name):
    assert safe_name(label) == name
