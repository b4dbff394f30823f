"""docs/BENCHMARKS.md is what the JSON files of the benchmarks say."""

import json

import pytest

from augment.json_objects import as_plain
from benchmarks.claims import Claim, Note, Spread, Table, at_least, part_to_json
from benchmarks.write_benchmarks import main, number
from edge_runtime.bundle.errors import InputError
from tests.support import ROOT


def test_the_page_follows_from_the_results(tmp_path):
    main(ROOT / "docs" / "benchmarks", tmp_path / "BENCHMARKS.md")
    assert (tmp_path / "BENCHMARKS.md").read_text() == (ROOT / "docs" / "BENCHMARKS.md").read_text()


def result(chapter, *parts, **more):
    machine = {"cpu": "some cpu", "cores": 2, "memory_gib": 24, "gpu": "none", "system": "Linux"}
    told = {"title": "How fast", "command": "python -m it", "date": "2026-11-26", "machine": machine}
    return as_plain({**told, "chapter": chapter, "parts": [part_to_json(part) for part in parts], **more})


def page(tmp_path, **results):
    for name, content in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    main(tmp_path, tmp_path / "page.md")
    return (tmp_path / "page.md").read_text()


def test_a_missed_target_is_bold_and_named_at_the_top(tmp_path):
    measured = Spread(median=2.0, low=1.5, high=2.25, n=5)
    missed = Claim(id="a", question="ours over theirs", measured=measured, target=at_least(2.5))
    text = page(tmp_path, speed=result("Edge", missed, load=[1.5, 2.0], seconds=12, versions={"numpy": "2"}))
    assert "- How fast: ours over theirs, at least 2.5 and is 2\n" in text
    assert "| ours over theirs | at least 2.5 | **2** (1.50 to 2.25) | 5 |" in text
    assert "`python -m it`, 2026-11-26, machine A, load 1.5 to 2.0, 12 s, numpy 2." in text


def test_parts_stand_in_their_order_and_chapters_in_that_of_the_registry(tmp_path):
    edge = result("Edge", Note(text="first of all"), Table(rows=[["a", "b"], ["1", "2"]]), Note(text="in the end"))
    text = page(tmp_path, one=result("Scale", Note(text="last")), two=edge)
    places = [
        text.index(part)
        for part in ("## Edge", "first of all", "| a | b |\n|---|---|\n| 1 | 2 |", "in the end", "## Scale")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.4, "1,234"), (12.34, "12.3"), (2.345, "2.35"), (0.12345, "0.123"), (4.0, "4")]
)
def test_a_number_has_three_digits_that_count(value, shown):
    assert number(value) == shown


def test_a_result_of_an_unknown_chapter_is_not_passed_over_in_silence(tmp_path):
    with pytest.raises(InputError, match=r"speed.json is of the chapter 'Egde'; there are Edge"):
        page(tmp_path, speed=result("Egde"))
