"""Stored scores on a real disk: what is read is what was written, torn tails and strange files cost nothing else."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_runtime.station.scores import score_store
from edge_runtime.station.scores.score_store import ScoreWriter, limit, read_scores, score_files
from tests.support.colour_bundle import RULE
from tests.support.scored_views import MODEL, rules_of, rust, scored_view
from tests.support.spot_bundle import RULE as SPATIAL_RULE

VIEWS = [("yard", ""), ("gate", "region-1"), ("gate", "region-2")]


def writer(state: Path, budget: int = 1 << 30) -> ScoreWriter:
    return ScoreWriter(state, budget, MODEL, rules_of(("yard", "gate")), VIEWS)


def test_what_is_read_is_what_was_judged(tmp_path):
    now, wall = time.monotonic(), time.time()
    scores = writer(tmp_path)
    scores.note([scored_view(RULE, rust(0.25), now - 2), scored_view(RULE, rust(0.75), now - 1, "gate", "region-2")])
    scores.close()
    (block,) = read_scores(tmp_path)
    assert block.labels == ("rust", "leak")
    assert block.cameras == ("yard", "gate")
    assert [block.header.views[place] for place in block.view_index] == [VIEWS[0], VIEWS[2]]
    assert block.captured.tolist() == [now - 2, now - 1]
    assert np.allclose(block.times, [wall - 2, wall - 1], atol=1.0)
    assert np.allclose(block.chances[:, 0], [0.25, 0.75], atol=2e-5)
    assert (block.header.model, block.header.thresholds["yard"]["leak"]) == (MODEL, 0.9)


def test_a_label_that_the_frame_did_not_give_is_not_a_chance_of_zero(tmp_path):
    rule = rules_of(("yard",))["yard"]
    scores = ScoreWriter(tmp_path, 1 << 30, MODEL, {"yard": type(rule)(SPATIAL_RULE, rule.votes)}, [("yard", "")])
    scores.note([scored_view(SPATIAL_RULE, [0.0, 3.0, -1.0], 1.0)])  # a pole, so its line is not hot at any threshold
    scores.close()
    (block,) = read_scores(tmp_path)
    chances = dict(zip(block.labels, block.chances[0], strict=True))
    assert np.isnan(chances["line_hot"])
    assert chances["pole_hot"] == pytest.approx(1 / (1 + np.e), abs=2e-5)


@given(st.floats(0, 1), st.floats(0, 1))
@example(1.0, 1.0)
@example(0.0, 0.0)
@example(1e-9, 2e-9)
@example(np.nextafter(0.4, 0), 0.4)
@example(0.4, 0.4)
def test_a_rounded_chance_stays_on_its_side_of_the_threshold(chance, threshold):
    code = score_store._code(chance, threshold)
    assert 1 <= code <= 65535
    assert (code >= limit(threshold)) == (chance >= threshold)
    assert abs((code - 1) / 65534 - chance) <= 1 / 65534


def test_a_torn_tail_costs_one_record_and_a_strange_file_nothing(tmp_path, caplog):
    scores = writer(tmp_path)
    scores.note([scored_view(RULE, rust(0.1), number) for number in range(10)])
    scores.close()
    (path,) = score_files(tmp_path)
    os.truncate(path, path.stat().st_size - 5)
    (path.parent / "0-strange.bin").write_bytes(b"\x00" * 100)
    (path.parent / "1-later.bin").write_bytes(b'{"schema": "rarefault/scores", "version": 99}\n')
    (block,) = read_scores(tmp_path)
    assert len(block.times) == 9
    assert "0-strange.bin" in caplog.text
    assert "1-later.bin" in caplog.text


def test_only_the_time_that_is_asked_for_is_read(tmp_path):
    now, wall = time.monotonic(), time.time()
    scores = writer(tmp_path)
    scores.note([scored_view(RULE, rust(0.1), now - age) for age in (300, 200, 100)])
    scores.close()
    (block,) = read_scores(tmp_path, wall - 250, wall - 150)
    assert block.captured.tolist() == [now - 200]
    assert read_scores(tmp_path, wall + 10) == []


def test_the_oldest_files_go_where_the_budget_is_full_and_none_is_kept_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(score_store, "FLUSH_SECONDS", 0.0)
    scores = writer(tmp_path, 16_000)
    for number in range(2000):
        scores.note([scored_view(RULE, rust(0.1), number)])
    scores.close()
    assert sum(path.stat().st_size for path in score_files(tmp_path)) <= 16_000 + 2000  # and one header
    blocks = read_scores(tmp_path)
    assert blocks[-1].captured[-1] == 1999
    assert blocks[0].captured[0] > 0
    assert [block.header.part for block in blocks] == list(range(blocks[0].header.part, blocks[-1].header.part + 1))
    off = writer(tmp_path / "off", 0)
    off.note([scored_view(RULE, rust(0.1), 1)])
    off.close()
    assert score_files(tmp_path / "off") == []


def test_another_model_begins_another_part_of_the_same_run(tmp_path):
    scores = writer(tmp_path)
    scores.note([scored_view(RULE, rust(0.1), 1)])
    scores.take_over({**MODEL, "digest": "d" * 64}, rules_of(("yard", "gate"), thresholds={"rust": 0.7}))
    scores.note([scored_view(RULE, rust(0.1), 2)])
    scores.close()
    first, second = read_scores(tmp_path)
    assert (first.header.run, first.header.part + 1) == (second.header.run, second.header.part)
    assert [block.header.model["digest"][0] for block in (first, second)] == ["c", "d"]
    assert second.header.thresholds["gate"]["rust"] == 0.7


def test_a_disk_that_takes_nothing_costs_scores_and_no_verdict(tmp_path, caplog):
    (tmp_path / "scores").write_text("a file where the folder should be")
    scores = writer(tmp_path)
    for number in range(3):
        scores.note([scored_view(RULE, rust(0.1), number)])
        scores.take_over(MODEL, rules_of(("yard", "gate")))
    scores.close()
    assert caplog.text.count("scores are not kept for now") == 1
