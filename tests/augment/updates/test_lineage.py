import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.records import DATASET, RunFolder
from augment.updates.lineage import trace
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.store import Bundle, open_bundle, write_bundle_manifest
from tests.support.colour_bundle import make_bundle
from tests.support.made_documents import made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    RunFolder(tmp_path / "run").write(made(DATASET, None, [], {"classes": {}}))
    return tmp_path / "run"


@pytest.fixture
def bundle(tmp_path: Path, run: Path) -> Bundle:
    folder = make_bundle(tmp_path / "bundles" / "new", ("fp32",))
    manifest = Manifest.from_json(json.loads((folder / "manifest.json").read_bytes()))
    documents = {"dataset": RunFolder(run).require(DATASET).digest}
    made_by = {"run": "north", "commit": "abc123", "rarefault": "0.5.0", "documents": documents}
    write_bundle_manifest(folder, replace(manifest, lineage=made_by))
    return open_bundle(folder)


@pytest.fixture
def event(tmp_path: Path, bundle: Bundle) -> Path:
    document = {
        "id": "e1", "kind": "alarm", "station": "north-7", "camera": "yard", "label": "rust",
        "time": "2026-11-26T10:00:00Z", "probability": 0.91, "model": bundle.identity(),
    }  # fmt: skip
    path = tmp_path / "event.json"
    path.write_text(json.dumps(document))
    return path


def test_one_line_leads_from_an_event_to_the_commit(event, bundle, run):
    done = CliRunner().invoke(main, ["lineage", str(event), "--bundle", str(bundle.folder.parent), "--run", str(run)])
    assert done.exit_code == 0, done.output
    steps = done.output.strip().split(" <- ")
    assert steps[0] == "event e1 (alarm rust of north-7 yard, 2026-11-26T10:00:00Z)"
    assert steps[1] == f"bundle colours 1 {bundle.digest}"
    assert steps[2:] == [
        "run north",
        f"data set {RunFolder(run).require(DATASET).digest}",
        "commit abc123 (rarefault 0.5.0)",
    ]


def test_a_repository_is_searched_where_it_keeps_the_files_of_bundles(event, bundle, tmp_path):
    kept = tmp_path / "repository" / "targets" / "bundles" / bundle.digest
    kept.mkdir(parents=True)
    shutil.copy(bundle.folder / "manifest.json", kept / f"{bundle.digest}.manifest.json")
    assert trace(event, [tmp_path / "repository"]).problems == []


def test_a_manifest_that_was_changed_is_not_taken_for_the_bundle(event, bundle):
    path = bundle.folder / "manifest.json"
    path.write_text(path.read_text().replace("abc123", "def456"))
    found = trace(event, [bundle.folder])
    assert found.manifest == {}
    assert "no bundle with this digest" in found.to_text()


def test_another_data_set_is_told(event, bundle, tmp_path):
    other = RunFolder(tmp_path / "other")
    other.write(made(DATASET, None, [], {"classes": {"rust": {"test": 1}}}))
    found = trace(event, [bundle.folder], other.path)
    assert ["another one than the bundle's" in problem for problem in found.problems] == [True]


@pytest.mark.parametrize("text", ["", "[]", '{"model": null}', '{"model": {"name": "a"}}', "{}"])
def test_what_is_no_event_is_refused(tmp_path, text):
    (tmp_path / "event.json").write_text(text)
    with pytest.raises(InputError, match="no event with a model"):
        trace(tmp_path / "event.json", [])
