"""Pictures of a run as every stage sees them: radiometric ones by the rule of the settings, and told."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from augment.data.image_store import ImageStore
from augment.models.image_embedding import Fingerprints
from augment.records import Document, RunFolder
from augment.settings import DataSettings, Settings
from augment.stages.dataset import run, summary_line
from augment.stages.train import Material, design
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import PreprocessSpec
from edge_runtime.media.image_files import read_image
from tests.support.tiff_files import tiff

RULE = "range 29315 36315"  # 20 to 90 °C in hundredths of a kelvin


def thermogram(seed: int, spot: bool) -> np.ndarray:
    """Hundredths of a kelvin, uint16 (40, 48): random blocks from 20 to 35 °C, and a spot of 80 °C."""
    blocks = np.random.default_rng(seed).integers(29315, 30815, (5, 6), np.uint16)
    values = cv2.resize(blocks, (48, 40), interpolation=cv2.INTER_NEAREST)
    if spot:
        values[18:24, 20:28] = 35315
    return values


def thermograms(root: Path, count: int = 12) -> Path:
    for label in ("hot", "ok"):
        (root / label).mkdir(parents=True)
        for at in range(count):  # numbers ten apart: no burst
            values = thermogram(at + 1000 * (label == "hot"), label == "hot")
            if at % 2:
                (root / label / f"{label}{at}0.tiff").write_bytes(tiff(values))
            else:
                cv2.imwrite(str(root / label / f"{label}{at}0.png"), values)
    return root


def settings_for(source: Path, **data: Any) -> Settings:
    return Settings(data=DataSettings(source=str(source), faults=("hot",), **data))


def made(source: Path, out: Path, **data: Any) -> Document:
    return run(settings_for(source, **data), RunFolder(out))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thermograms(tmp_path_factory.mktemp("source"))


@pytest.mark.parametrize("rule", [RULE, "percentiles 1 99"])
def test_both_sides_see_the_same_bits_of_the_same_file(rule: str, source: Path, tmp_path: Path) -> None:
    settings = settings_for(source, radiometric=rule)
    document = run(settings, RunFolder(tmp_path))
    store = ImageStore(settings)
    spec = design(settings, Material(("hot", "ok"), document.records, {})).spec
    bundled = PreprocessSpec.from_json(spec.to_json())
    assert bundled.radiometric == settings.data.radiometric_rule
    for record in document.records:
        assert np.array_equal(store.frame(record), read_image(source / record.path, bundled).frame)
        assert store.reduced(record, spec) is None


def test_a_spot_of_45_kelvin_is_164_levels_above_its_surroundings(source: Path, tmp_path: Path) -> None:
    settings = settings_for(source, radiometric=RULE)
    for record in run(settings, RunFolder(tmp_path)).records:
        grey = ImageStore(settings).frame(record)[..., 0].astype(int)
        # 80 °C is (35315 - 29315) * 255 / 7000 = 218.6; 35 °C is 54.6.
        assert (grey.max() == 219) if record.label == "hot" else (grey.max() <= 55)


def test_with_a_rule_they_are_counted_and_the_rule_is_told(source: Path, tmp_path: Path) -> None:
    document = made(source, tmp_path, radiometric=RULE)
    (hint,) = (hint for hint in document.summary.hints if "radiometric" in hint)
    assert hint.startswith("24 images are radiometric, with values from 293")
    assert f'to 35315, scaled by "{RULE}"' in hint
    assert hint in summary_line(document)
    assert all(f'scaled by the rule "{RULE}"' in record.notes[0] for record in document.records)


def test_without_a_rule_they_are_left_out_and_the_hint_says_what_to_write(tmp_path: Path) -> None:
    source = thermograms(tmp_path / "in", 8)
    for label in ("hot", "ok"):
        for at in range(8):
            grey = (thermogram(at + 5000 * (label == "hot"), label == "hot") // 32 - 900).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(source / label / f"seen{at}0.png"), grey)
    document = made(source, tmp_path / "run", most_problems=0.5)
    assert len(document.summary.quarantined) == 16
    assert "no rule says which of them are black and white" in document.summary.quarantined[0].reason
    assert document.summary.hints[0].startswith("16 images are radiometric and left out, with values from ")
    assert 'set data.radiometric, such as "range ' in document.summary.hints[0]
    document = made(source, tmp_path / "run", radiometric="range 29315 33315")
    assert document.summary.quarantined == []
    assert any("8 of them have values above 33315" in hint for hint in document.summary.hints)
    assert any("16 images have 8 bits and are taken as they are" in hint for hint in document.summary.hints)


def test_a_source_of_radiometric_pictures_alone_is_refused_with_the_remedy(source: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"\n24 images are radiometric and left out, .*: set data.radiometric, such as"
    ):
        made(source, tmp_path)
    with pytest.raises(InputError, match=r'\n24 images .*: data.radiometric, "range 20 90", is in another unit'):
        made(source, tmp_path, radiometric="range 20 90")


def test_files_in_several_units_are_told_and_percentiles_read_them_all(tmp_path: Path) -> None:
    source = thermograms(tmp_path / "in")
    for path in list(source.glob("*/*0.tiff")):
        path.write_bytes(tiff((cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 100 - 273.15).astype(np.float32)))
    with pytest.raises(InputError, match=r"several units, it seems; set data.radiometric = \"percentiles 1 99\""):
        made(source, tmp_path / "run")
    assert made(source, tmp_path / "run", radiometric="percentiles 1 99").summary.images == 24


def test_another_rule_makes_the_stage_and_what_it_keeps_anew(source: Path, tmp_path: Path) -> None:
    first = made(source, tmp_path, radiometric=RULE)
    assert made(source, tmp_path, radiometric=RULE) == first
    other = made(source, tmp_path, radiometric="range 29315 30815")
    assert other.version == 2
    assert other.inputs.parent != first.inputs.parent
    assert {r.phash for r in other.records} != {r.phash for r in first.records}
    places = {path.name for path in (tmp_path / "cache").glob("fingerprints-*")}
    assert len(places) == 2
    plainly = Fingerprints(settings_for(source), RunFolder(tmp_path), "cpu")
    assert plainly.identity == Fingerprints(settings_for(source, radiometric=RULE), RunFolder(tmp_path), "cpu").identity


@pytest.mark.parametrize("text", ["20 90", "range 90 20", "percentiles 0 101"])
def test_settings_refuse_what_is_no_rule(text: str) -> None:
    (wrong,) = (one for one in DataSettings(source="x", radiometric=text).contradictions() if "radiometric" in one)
    assert wrong.startswith("data.radiometric: the rule for radiometric pictures is")
    assert DataSettings(source="x", radiometric="percentiles 1 99").contradictions() == []
