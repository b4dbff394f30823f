"""Run folder documents and journals: versions, damage, digests, cut-off lines."""

import json

import pytest

from augment.json_objects import as_plain, from_json
from augment.record_types import CaptionRecord, DatasetRecord, NoSummary
from augment.records import CAPTIONS, DATASET, STAGES, Document, RunFolder, StageInputs, digest_of, item_seed
from augment.settings import CaptionSettings
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support.made_documents import made


def make(records=(), parent="p", settings=None):
    return made(CAPTIONS, parent, records, settings=settings or {"a": 1}, models={"m": {"sha256": "x"}})


def ids(document):
    return [record.id for record in document.records]


def test_versions_count_up_and_the_newest_counts(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make([{"id": "1"}]))
    second = folder.write(make([{"id": "2"}]))
    assert [path.name for path in sorted((tmp_path / "captions").iterdir())] == ["v0001.json", "v0002.json"]
    assert second.version == 2
    assert ids(folder.latest(CAPTIONS)) == ["2"]


def test_a_damaged_newest_document_is_passed_over_and_never_overwritten(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make([{"id": "1"}]))
    (tmp_path / "captions" / "v0002.json").write_text('{"schema": "rarefault/cap')
    assert ids(folder.latest(CAPTIONS)) == ["1"]
    assert folder.write(make()).version == 3


def test_a_document_of_a_later_schema_is_refused_with_a_sentence(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make())
    path = tmp_path / "captions" / "v0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))
    with pytest.raises(InputError, match="schema_version 2, this program reads 1"):
        folder.latest(CAPTIONS)


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
    assert folder.finished(CAPTIONS, StageInputs("p", {"a": 1}, {"m": {"sha256": "x"}}))
    assert folder.finished(CAPTIONS, StageInputs("other", {"a": 1}, {"m": {"sha256": "x"}})) is None
    assert folder.finished(CAPTIONS, StageInputs("p", {"a": 2}, {"m": {"sha256": "x"}})) is None
    assert folder.finished(CAPTIONS, StageInputs("p", {"a": 1}, {"m": {"sha256": "y"}})) is None


@pytest.mark.parametrize(("value", "restarts"), [(1.5, False), (2.0, True)])
def test_a_setting_that_a_finished_document_does_not_know_restarts_nothing_while_it_is_at_its_default(
    tmp_path, value, restarts
):
    folder = RunFolder(tmp_path)
    folder.write(make())
    inputs = StageInputs("p", {"a": 1, "new": value}, {"m": {"sha256": "x"}}, defaults={"a": 7, "new": 1.5})
    assert (folder.finished(CAPTIONS, inputs) is None) == restarts


def test_a_setting_that_a_finished_document_knows_is_not_taken_for_its_default(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make(settings={"a": 2, "dropped": 1}))
    models = {"m": {"sha256": "x"}}
    assert folder.finished(CAPTIONS, StageInputs("p", {"a": 1}, models, defaults={"a": 1})) is None
    assert folder.finished(CAPTIONS, StageInputs("p", {"a": 2}, models, defaults={"a": 1})) is None


def test_the_inputs_of_a_stage_hold_its_settings_after_what_else_it_depends_on():
    section = CaptionSettings(batch_size=3)
    inputs = StageInputs.of("p", section, {"seed": 5}, {}, leaving_out=("prefix",))
    assert next(iter(inputs.settings)) == "seed"
    assert inputs.settings["batch_size"] == 3
    assert inputs.defaults["batch_size"] == CaptionSettings().batch_size
    assert "prefix" not in inputs.settings


def test_a_missing_stage_names_its_command(tmp_path):
    with pytest.raises(InputError, match="rarefault caption"):
        RunFolder(tmp_path).require(CAPTIONS)


def test_a_document_of_an_earlier_input_is_refused_with_the_command_to_run(tmp_path):
    folder = RunFolder(tmp_path)
    dataset = folder.write(made(DATASET, None, [{"id": "1"}]))
    folder.write(make(parent=dataset.digest))
    assert folder.require(CAPTIONS).inputs.parent == dataset.digest
    folder.write(made(DATASET, None, [{"id": "2"}]))
    with pytest.raises(InputError, match="from an earlier dataset document; run `rarefault caption"):
        folder.require(CAPTIONS)


def test_a_journal_keeps_whole_lines_and_drops_the_one_a_kill_cut(tmp_path):
    journal = RunFolder(tmp_path).journal(CAPTIONS, CaptionRecord, "key")
    a, b, d = (CaptionRecord(id=name, label="l", prefix="p", caption=f"p {name}") for name in "abd")
    journal.add([a, b])
    with journal.path.open("ab") as file:
        file.write(b'{"id": "c", "n"')
    assert list(journal.read()) == ["a", "b"]
    journal.add([d])
    assert journal.read() == {"a": a, "b": b, "d": d}


def test_a_journal_of_other_inputs_does_not_count(tmp_path):
    folder = RunFolder(tmp_path)
    folder.journal(CAPTIONS, CaptionRecord, "old settings").add([from_json(CaptionRecord, {"id": "a"})])
    assert folder.journal(CAPTIONS, CaptionRecord, "new settings").read() == {}


def test_digests_ignore_key_order():
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})


def test_item_seeds_depend_on_run_stage_and_item_and_fit_a_generator():
    seeds = {item_seed(run, stage, item) for run in (0, 1) for stage in ("s", "t") for item in ("a", "b")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_document_of_another_version_keeps_its_digest_with_fields_too_few_and_too_many(tmp_path):
    folder = RunFolder(tmp_path)
    before = folder.write(make([{"id": "1", "colour": {"warm": [1, 2]}}, {"caption": "c", "id": "2"}]))
    text = (tmp_path / "captions" / "v0001.json").read_text()
    read = folder.latest(CAPTIONS)
    (tmp_path / "captions" / "v0001.json").unlink()
    again = folder.write(read)
    assert read.digest == again.digest == before.digest
    assert json.loads((tmp_path / "captions" / "v0001.json").read_text())["records"] == json.loads(text)["records"]


def test_a_record_of_an_older_document_is_refused_only_where_what_it_lacks_is_needed(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make([{"id": "1"}]))
    record = folder.latest(CAPTIONS).records[0]
    assert record.id == "1"
    with pytest.raises(InputError, match="CaptionRecord of the run folder has no caption"):
        record.caption  # noqa: B018
    assert not hasattr(record, "colour")


def test_what_is_not_said_is_not_written_and_reads_as_its_default():
    facts = {"id": "1", "path": "p", "sha256": "s", "width": 1, "height": 1, "label": "l", "split": "train"}
    facts |= {"group": "g", "origin": "folders", "phash": "0", "notes": []}
    plain, boxed = DatasetRecord(**facts), DatasetRecord(**facts, boxes=[[1, 2, 3, 4]])
    assert plain.boxes == ()
    assert as_plain(plain) == facts
    assert list(as_plain(boxed)) == [*facts, "boxes"]
    assert from_json(DatasetRecord, as_plain(boxed)) == boxed


def test_the_table_of_stages_names_modules_that_make_their_documents():
    import importlib

    assert [stage.command for stage in STAGES][:3] == ["dataset", "caption", "refine"]
    for stage in STAGES:
        module = importlib.import_module(stage.module)
        assert callable(module.run)
        assert callable(module.summary_line)


def test_a_document_holds_a_record_a_line(tmp_path):
    record = CaptionRecord(id="1", label="l", prefix="p", caption="p, é")
    RunFolder(tmp_path).write(Document(CAPTIONS, StageInputs("p", {"a": (1, 2)}, {}), [record], NoSummary()))
    text = (tmp_path / "captions" / "v0001.json").read_text()
    content = json.loads(text)
    assert ' "records": [\n{"id": "1", "label": "l", "prefix": "p", "caption": "p, é"}\n ]\n}\n' in text
    head = json.dumps({**content, "records": []}, indent=1, ensure_ascii=False)
    assert text.startswith(head.removesuffix("[]\n}"))
    assert list(content) == [
        "schema",
        "schema_version",
        "version",
        "parent",
        "created",
        "settings",
        "models",
        "summary",
        "records",
    ]
    assert content["records"] == [{"id": "1", "label": "l", "prefix": "p", "caption": "p, é"}]


def test_settings_that_change_nothing_may_stand_in_an_older_document(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write(make())
    assert folder.finished(CAPTIONS, StageInputs("p", {}, {"m": {"sha256": "x"}}, left_out=("a",)))
    assert folder.finished(CAPTIONS, StageInputs("p", {}, {"m": {"sha256": "x"}})) is None


def test_a_document_is_digested_and_read_line_by_line_as_in_one(tmp_path):
    folder = RunFolder(tmp_path)
    records = [CaptionRecord(id=str(n), label="l", prefix=' "records": [', caption="p, é\n]") for n in range(3)]
    written = folder.write(
        Document(CAPTIONS, StageInputs("p", {"b": 1, "a": [2]}, {"records": "m"}), records, NoSummary())
    )
    content = json.loads((tmp_path / "captions" / "v0001.json").read_text())
    del content["created"]
    assert written.digest == digest_of(content)
    assert RunFolder(tmp_path).latest(CAPTIONS) == written
    indented = json.dumps({**content, "created": written.created}, indent=1)  # as earlier versions wrote it
    (tmp_path / "captions" / "v0001.json").write_text(indented)
    assert RunFolder(tmp_path).latest(CAPTIONS) == written


@pytest.mark.parametrize("records", [0, 2])
def test_a_document_that_was_cut_off_anywhere_is_passed_over(tmp_path, records):
    made = [CaptionRecord(id=str(n), label="l", prefix="p", caption="p") for n in range(records)]
    RunFolder(tmp_path).write(Document(CAPTIONS, StageInputs("p", {}, {}), made, NoSummary()))
    path = tmp_path / "captions" / "v0001.json"
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:size])
        assert RunFolder(tmp_path).latest(CAPTIONS) is None


def test_a_second_command_on_one_run_is_refused_until_the_first_has_ended(tmp_path):
    with RunFolder(tmp_path).alone():
        with pytest.raises(UnavailableError, match=f"another command works on {tmp_path}"), RunFolder(tmp_path).alone():
            pass
        with RunFolder(tmp_path / "another").alone():  # which is not there: nothing to lock
            pass
    with RunFolder(tmp_path).alone():
        pass
