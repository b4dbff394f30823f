"""The stage on texts one can check by eye; the writer and the token budget are stand-ins with known answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from augment.models.model_folders import ModelFolder
from augment.models.prompt_rules import OTHER_CLASS
from augment.models.text_similarity import WordOverlap
from augment.presets import PRESETS
from augment.record_types import CaptionRecord, RefinedCaption
from augment.records import CAPTIONS, DATASET, PROMPTS, RunFolder
from augment.settings import RefineSettings
from augment.stages import refine
from augment.stages.caption import with_prefix
from tests.support.made_documents import made
from tests.support.pickled_engine import PickledEngine
from tests.support.scripted_models import WordBudget

OTHERS = {"closed valve"}


class Script:
    """The models that refining asks, with scripted answers: one line per round and count."""

    text_similarity = WordOverlap()
    token_budget = WordBudget()
    writer_folder = painter_folder = ModelFolder(Path(), {"name": "scripted"})

    def __init__(self, *rounds: str) -> None:
        self.rounds = list(rounds)
        self.writer = self

    def continuations(self, prefix, count, seed):
        return [self.rounds.pop(0) if self.rounds else "in rain"] * count


def refined(*rounds: str, **section):
    settings = replace(PRESETS["mini"], refine=RefineSettings(variants=1, attempts=1, **section))
    prefix = "a photo of a burst valve"
    caption = CaptionRecord(id="c", label="burst_valve", prefix=prefix, caption=prefix)
    return refine._refine_one(settings, Script(*rounds), caption, [caption], {"burst valve", "closed valve"})


def test_drawing_goes_on_until_a_prompt_passes():
    result = refined("beside a closed valve", "at night", rounds=3)
    assert result.prompts == ["a photo of a burst valve, at night"]
    assert (result.drawn, result.kept_itself) == (2, False)
    assert result.rejected == {OTHER_CLASS: 1}


def test_a_caption_for_which_nothing_passes_is_its_own_prompt():
    result = refined("beside a closed valve", "near a closed valve", rounds=2)
    assert result.prompts == ["a photo of a burst valve"]
    assert (result.drawn, result.kept_itself) == (2, True)


@pytest.mark.parametrize(
    ("caption", "prefix", "prompt"),
    [
        ("a photo of a burst valve, on grass", "a photo of a burst valve", "a photo of a burst valve, on grass"),
        ("a photo of a burst valve by a closed valve", "a photo of a burst valve", "a photo of a burst valve"),
        ("seen from above, on grass", "seen from above", "burst valve"),
    ],
)
def test_the_last_resort_shows_the_class_and_no_other(caption, prefix, prompt):
    assert refine.own_prompt(caption, prefix, "burst valve", OTHERS, WordBudget()) == prompt


def test_the_document_counts_per_caption_and_tells_how_often_the_class_was_kept_before_and_after(tmp_path):
    folder = RunFolder(tmp_path)
    captions = [
        {
            "id": "c",
            "label": "burst_valve",
            "prefix": "a photo of a burst valve",
            "caption": "a photo of a burst valve",
        },
        {
            "id": "d",
            "label": "closed_valve",
            "prefix": "a photo of a closed valve",
            "caption": "a photo of a closed valve",
        },
    ]
    dataset = folder.write(made(DATASET, None, captions))
    folder.write(made(CAPTIONS, dataset.digest, captions))
    settings = replace(PRESETS["mini"], refine=RefineSettings(variants=1, attempts=1, rounds=2))
    document = refine.run(
        settings, folder, Script("by a closed valve", "at night", "by a burst valve", "a burst valve")
    )
    assert [(record.source, record.prompt, record.drawn, record.kept) for record in document.records] == [
        ("c", "a photo of a burst valve, at night", 2, 1),
        ("d", "a photo of a closed valve", 2, 0),
    ]
    assert document.summary.class_kept_when_drawn == 1 / 4
    assert document.summary.class_kept == 1.0
    assert document.inputs.models["meaning"] == {"name": "lexical"}


def backgrounds(tmp_path):
    """A run folder in which every class has a background of its own, but for one caption that names another class."""
    captions = [
        {
            "id": f"{label}{number}",
            "label": label,
            "prefix": f"a photo of a {label.replace('_', ' ')}",
            "caption": f"a photo of a {label.replace('_', ' ')}, {background}",
        }
        for label, background in (("burst_valve", "on grass"), ("closed_valve", "in snow"))
        for number in range(40)
    ]
    captions[0]["caption"] += " by a closed valve"
    folder = RunFolder(tmp_path)
    dataset = folder.write(made(DATASET, None, captions))
    folder.write(made(CAPTIONS, dataset.digest, captions))
    return folder


class Dying(Script):
    """Stops the stage at its third caption."""

    def continuations(self, prefix, count, seed):
        if len(self.rounds) == 1:
            raise KeyboardInterrupt
        return super().continuations(prefix, count, seed)


def mixing(contexts):
    section = RefineSettings(variants=1, attempts=2, rounds=1, contexts=contexts)
    return replace(PRESETS["mini"], refine=section)


def background_information(document):
    """Nats that the background tells of the class, over the prompts."""
    labels = [record.label for record in document.records]
    return mutual_info_score(labels, ["grass" in record.prompt for record in document.records])


def test_contexts_of_all_classes_tell_nothing_of_the_class_which_is_kept(tmp_path):
    # Nothing that the writer says passes, so each caption is its own prompt and shows which context it has.
    own, mixed = (
        refine.run(mixing(contexts), backgrounds(tmp_path / contexts), Script(*["<"] * 160))
        for contexts in ("own", "all")
    )
    assert background_information(own) == pytest.approx(np.log(2), abs=0.05)
    assert background_information(mixed) < 0.05
    assert mixed.summary.class_kept == 1.0
    assert all(record.context == record.source for record in own.records)
    taken = {record.context for record in mixed.records}
    assert {context[:-1].rstrip("0123456789") for context in taken} == {"burst_valve", "closed_valve"}
    for record in mixed.records:  # the caption that names a closed valve is no context for a burst one
        assert record.label == "closed_valve" or record.context != "burst_valve0"
        assert record.prompt.startswith(f"a photo of a {record.label.replace('_', ' ')}, ")


def test_mixed_contexts_are_the_same_after_a_kill(tmp_path):
    settings = mixing("all")
    whole = refine.run(settings, backgrounds(tmp_path / "whole"), Script())
    folder = backgrounds(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        refine.run(settings, folder, Dying(*["in rain"] * 5))
    assert (
        len(folder.journal(PROMPTS, RefinedCaption, {}).path.read_bytes().splitlines()) == 3
    )  # the key and two captions
    assert refine.run(settings, folder, Script()).digest == whole.digest
    assert refine.run(settings, backgrounds(tmp_path / "spread"), Script(), PickledEngine()).digest == whole.digest
    other = refine.run(replace(settings, seed=1), folder, Script())
    assert [record.context for record in other.records] != [record.context for record in whole.records]


def test_a_caption_keeps_its_own_context_where_no_other_may_be_taken():
    burst, closed = "a photo of a burst valve", "a photo of a closed valve"
    caption = CaptionRecord(id="c", label="burst_valve", prefix=burst, caption=f"{burst}, on grass")
    other = CaptionRecord(id="d", label="closed_valve", prefix=closed, caption=f"{closed} by a closed valve")
    assert refine.draw_context(caption, [other], "burst valve", OTHERS, 0) is caption


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a photo of a Burst Valve , on grass", "a photo of a burst valve, on grass"),
        ("a photo of a burst valve on  grass", "a photo of a burst valve on grass"),
        ("grass at night", "a photo of a burst valve, grass at night"),
        ("", "a photo of a burst valve"),
    ],
)
def test_a_caption_begins_with_the_words_that_conditioned_it(text, expected):
    assert with_prefix(text, "a photo of a burst valve") == expected
