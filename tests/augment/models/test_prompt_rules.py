"""The rules of prompts on texts one can check by eye."""

from dataclasses import replace

import numpy as np
import pytest

from augment.models import prompt_rules
from augment.settings import RefineSettings
from tests.support.scripted_models import ScriptedWriter, WordBudget

OTHERS = {"closed valve"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a photo of a burst valve, at night", None),
        ("a photo of a valve, at night", prompt_rules.CLASS_LOST),
        ("a photo of a burst valves, at night", prompt_rules.CLASS_LOST),
        ("a photo of a burst valve, beside a closed valve", prompt_rules.OTHER_CLASS),
        ("a photo of a burst valve", prompt_rules.EMPTY),
        ("a photo of a burst valve, see <b>here</b>", prompt_rules.MARKUP),
        ("a photo of a burst valve, bei Überdruck", prompt_rules.MARKUP),
        ("a photo of a burst valve, " + "at night " * 4, prompt_rules.TOO_LONG),
    ],
)
def test_objections(text, reason):
    assert prompt_rules.objection(text, "burst valve", OTHERS, WordBudget()) == reason


def test_a_phrase_inside_another_does_not_count_as_the_other_class():
    text = "a photo of a hot line clamp, at night"
    assert prompt_rules.objection(text, "hot line clamp", {"line clamp"}, WordBudget()) is None


def test_cuts_keep_the_class_clause_first():
    assert prompt_rules.cuts("a photo of x, on grass, at night.") == [
        "a photo of x,",
        "a photo of x, on grass,",
        "a photo of x, on grass, at night,",
    ]


def test_join_takes_the_first_sentence_in_single_spaces():
    assert prompt_rules.join("a photo of x,", "  at   night\nand more") == "a photo of x, at night"
    assert prompt_rules.join("a photo of x,", " in rain. Another day") == "a photo of x, in rain"
    assert prompt_rules.join("a photo of x,", "") == "a photo of x"


def test_attempts_are_spread_over_the_cuts_and_each_cut_has_its_own_seed():
    writer = ScriptedWriter("at dusk")
    drawn = prompt_rules.draw_variants(writer, "a photo of x, on grass", RefineSettings(attempts=5), seed=100)
    assert writer.asked == [("a photo of x,", 3, 100), ("a photo of x, on grass,", 2, 101)]
    assert len(drawn) == 5


class TableSimilarity:
    """Likeness by the number a text ends in: 1 minus a tenth of the difference."""

    nearness, sameness = 0.5, 0.95

    def likeness(self, texts):
        values = np.array([float(text.split()[-1]) for text in texts])
        return 1 - np.abs(values[:, None] - values[None]) / 10


def test_prompts_are_near_the_caption_and_apart_from_each_other():
    kept, rejected = prompt_rules.choose("x 0", ["x 1", "x 1", "x 1.2", "x 4", "x 3", "x 9"], 3, TableSimilarity())
    assert kept == ["x 1", "x 4", "x 3"]  # the nearest, then the farthest of what is left within reach
    assert rejected == {prompt_rules.FAR: 1, prompt_rules.REPEATS: 2}


def test_what_is_not_needed_is_not_rejected():
    kept, rejected = prompt_rules.choose("x 0", ["x 1", "x 3"], 1, TableSimilarity())
    assert kept == ["x 1"]
    assert rejected == {}


def test_a_long_caption_is_cut_at_a_word():
    assert prompt_rules.trim("one two three four five six seven eight nine ten eleven, twelve", WordBudget()) == (
        "one two three four five six seven eight nine ten"
    )


def test_settings_with_fewer_attempts_than_cuts_still_draw():
    settings = replace(RefineSettings(), attempts=1, variants=1)
    assert len(prompt_rules.draw_variants(ScriptedWriter("z"), "x, y, w", settings, 0)) == 1
