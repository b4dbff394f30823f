"""Run folder documents and journals: versions, damage, digests, cut-off lines."""

import json

import pytest

from augment.records import Document, RunFolder, digest_of, item_seed
from edge_runtime.bundle.errors import InputError


def make(records=(), parent="p", settings=None):
    return Document("captions", parent, settings or {"a": 1}, {"m": {"sha256": "x"}}, list(records))


def test_versions_count_up_and_the_newest_counts(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make([{"id": "1"}]))
    second = folder.write(make([{"id": "2"}]))
    assert [path.name for path in sorted((tmp_path / "captions").iterdir())] == ["v0001.json", "v0002.json"]
    assert second.version == 2
    assert folder.latest("captions").records == [{"id": "2"}]


def test_a_damaged_newest_document_is_passed_over_and_never_overwritten(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make([{"id": "1"}]))
    (tmp_path / "captions" / "v0002.json").write_text('{"schema": "rarefault/cap')
    assert folder.latest("captions").records == [{"id": "1"}]
    assert folder.write(make()).version == 3


def test_a_document_of_a_later_schema_is_refused_with_a_sentence(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make())
    path = tmp_path / "captions" / "v0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))
    with pytest.raises(InputError, match="schema_version 2, this program reads 1"):
        folder.latest("captions")


def test_the_document_has_the_fields_that_others_build_against(tmp_path):
    RunFolder(tmp_path).write(make([{"id": "1"}]))
    content = json.loads((tmp_path / "captions" / "v0001.json").read_text())
    assert content["schema"] == "rarefault/captions"
    assert {"schema_version", "version", "parent", "created", "settings", "models", "records"} <= content.keys()


def test_the_digest_leaves_out_the_date_and_nothing_else(tmp_path):
    one = make([{"id": "1"}])
    stamped = RunFolder(tmp_path).write(one)
    assert stamped.created
    assert stamped.digest == one.digest
    assert make([{"id": "2"}]).digest != one.digest
    assert make([{"id": "1"}], parent="q").digest != one.digest


def test_finished_only_for_the_same_inputs(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make())
    assert folder.finished("captions", "p", {"a": 1}, {"m": {"sha256": "x"}})
    assert folder.finished("captions", "other", {"a": 1}, {"m": {"sha256": "x"}}) is None
    assert folder.finished("captions", "p", {"a": 2}, {"m": {"sha256": "x"}}) is None
    assert folder.finished("captions", "p", {"a": 1}, {"m": {"sha256": "y"}}) is None


def test_a_missing_stage_names_its_command(tmp_path):
    with pytest.raises(InputError, match="rarefault caption"):
        RunFolder(tmp_path).require("captions")


def test_a_document_of_an_earlier_input_is_refused_with_the_command_to_run(tmp_path):
    folder = RunFolder(tmp_path)
    dataset = folder.write(Document("dataset", None, {}, {}, [{"id": "1"}]))
    folder.write(make(parent=dataset.digest))
    assert folder.require("captions").parent == dataset.digest
    folder.write(Document("dataset", None, {}, {}, [{"id": "2"}]))
    with pytest.raises(InputError, match="from an earlier dataset document; run `rarefault caption"):
        folder.require("captions")


def test_a_journal_keeps_whole_lines_and_drops_the_one_a_kill_cut(tmp_path):
    journal = RunFolder(tmp_path).journal("captions", "key")
    journal.add([{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    with journal.path.open("ab") as file:
        file.write(b'{"id": "c", "n"')
    assert list(journal.read()) == ["a", "b"]
    journal.add([{"id": "d", "n": 4}])
    assert journal.read() == {"a": {"id": "a", "n": 1}, "b": {"id": "b", "n": 2}, "d": {"id": "d", "n": 4}}


def test_a_journal_of_other_inputs_does_not_count(tmp_path):
    folder = RunFolder(tmp_path)
    folder.journal("captions", "old settings").add([{"id": "a"}])
    assert folder.journal("captions", "new settings").read() == {}


def test_digests_ignore_key_order():
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})


def test_item_seeds_depend_on_run_stage_and_item_and_fit_a_generator():
    seeds = {item_seed(run, stage, item) for run in (0, 1) for stage in ("s", "t") for item in ("a", "b")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
