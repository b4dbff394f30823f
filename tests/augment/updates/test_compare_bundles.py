from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.records import DATASET, RunFolder
from augment.settings import CompareSettings, DataSettings, Settings, write_settings
from augment.updates.compare_bundles import WORSE_EXIT, compare_bundles
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import Bundle
from tests.support import colour_bundle as maker
from tests.support.live_models import make_version
from tests.support.made_documents import made

COUNTS = {"normal": 12, "rust": 10, "leak": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose test pictures have the colours of the bundle's labels, two pictures a group."""
    folder = tmp_path_factory.mktemp("run")
    records = [picture(folder / "images", label, number) for label, n in COUNTS.items() for number in range(n)]
    section = DataSettings(source=str(folder / "images"), faults=maker.FAULTS)
    write_settings(Settings(data=section, compare=CompareSettings(resamples=200)), folder / "pipeline.toml")
    RunFolder(folder).write(made(DATASET, None, records, {"classes": {}}))
    return folder


def picture(folder: Path, label: str, number: int) -> dict[str, object]:
    """Write a picture that shows its label's colour beside some grey, and return its record."""
    path = f"{label}/{number:02d}.png"
    image = np.random.default_rng(number).integers(0, 30, (8, 8, 3), dtype=np.uint8)
    image[..., maker.PLANES[maker.LABELS.index(label)]] += 200
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / path), image)
    whereabouts = {"path": path, "label": label, "split": "test", "group": f"{label}-{number // 2}"}
    return {"id": f"{label}-{number:02d}", "width": 8, "height": 8, **whereabouts}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_version(tmp_path_factory.mktemp("good"), "1")


@pytest.fixture(scope="module")
def blind_to_rust(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same model with a rule that never flags rust."""
    rule = replace(maker.RULE, thresholds={"rust": 1.0, "leak": 0.9})
    return make_version(tmp_path_factory.mktemp("blind"), "2", rule)


def test_a_bundle_is_not_worse_than_itself(run, good):
    found = compare_bundles(good, good, run)
    assert (found.images, found.changed, found.worse, found.exit_code) == (30, [], [], 0)
    assert [found.overall["accuracy"].old.value, found.overall["accuracy"].difference.value] == [1.0, 0.0]


def test_a_bundle_that_misses_a_fault_is_worse_and_its_pictures_are_named(run, good, blind_to_rust):
    found = compare_bundles(good, blind_to_rust, run)
    assert found.exit_code == WORSE_EXIT
    assert {item.path.partition("/")[0] for item in found.changed} == {"rust"}
    assert len(found.changed) == COUNTS["rust"]
    assert found.overall["fault_or_not"].difference.value == pytest.approx(-10 / 30)
    assert any(sentence.startswith("fault or not fell") for sentence in found.worse)


def test_the_other_way_round_is_an_improvement(run, good, blind_to_rust):
    found = compare_bundles(blind_to_rust, good, run)
    assert (found.worse, found.exit_code) == ([], 0)
    assert found.overall["fault_or_not"].difference.value == pytest.approx(10 / 30)


def test_bundles_that_were_made_from_other_pictures_are_told(run, good):
    assert "note: the old bundle was made from another data set" in compare_bundles(good, good, run).to_text()


def test_a_run_without_test_pictures_is_refused(tmp_path, good):
    write_settings(Settings(data=DataSettings(source=str(tmp_path))), tmp_path / "pipeline.toml")
    RunFolder(tmp_path).write(made(DATASET, None, [], {"classes": {}}))
    with pytest.raises(InputError, match="no test pictures"):
        compare_bundles(good, good, tmp_path)


def test_the_command_prints_tables_and_leaves_with_the_exit_code(run, good, blind_to_rust):
    done = CliRunner().invoke(main, ["diff", str(good.folder), str(blind_to_rust.folder), "--run", str(run)])
    assert done.exit_code == WORSE_EXIT, done.output
    assert "10 pictures whose verdict changed" in done.output
    assert "rust/00.png: is rust, was told rust (flagged), is told" in done.output
