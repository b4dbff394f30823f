"""The dataset stage keeps copies and groups on one side, and tells contradictions, torn assets and shortcuts."""

from pathlib import Path

import cv2
import numpy as np

from augment.settings import DataSettings, Settings
from augment.stages.dataset import Examined, examine


def scene(seed: int) -> np.ndarray:
    """Sixty shapes of random place, size and colour, 160 x 120 pixels."""
    rng = np.random.default_rng(seed)
    frame = np.full((120, 160, 3), 128, np.uint8)
    for _ in range(60):
        centre = (int(rng.integers(0, 160)), int(rng.integers(0, 120)))
        cv2.circle(frame, centre, int(rng.integers(3, 12)), rng.integers(0, 256, 3).tolist(), -1)
    return cv2.GaussianBlur(frame, (0, 0), 0.8)


def write(path: Path, frame: np.ndarray, quality: int = 92) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, quality])


def folder(root: Path, name: str = "{label}/{label}_{at}0.jpg", count: int = 10) -> Path:
    for place, label in enumerate(("leak", "sound")):
        for at in range(count):
            write(root / name.format(label=label, at=at, asset=at // 3), scene(100 * place + at))
    return root


def looked_at(source: Path, **data: object) -> Examined:
    return examine(Settings(data=DataSettings(source=str(source), **data)))


def sides(found: Examined) -> dict[str, str]:
    return {record.path: record.split for record in found.records}


def groups(found: Examined) -> dict[str, str]:
    return {record.path: record.group for record in found.records}


def test_copies_without_telling_names_are_found_by_picture_and_stay_together(tmp_path):
    root = folder(tmp_path)
    write(root / "leak/x1.jpg", scene(3)[:, ::-1])
    write(root / "leak/y2.jpg", np.rot90(scene(3)))
    of = groups(found := looked_at(root))
    assert of["leak/x1.jpg"] == of["leak/y2.jpg"] == of["leak/leak_30.jpg"] != of["leak/leak_40.jpg"]
    assert found.summary.copy_pairs >= 2
    assert found.summary.straddling_copies == 0
    apart = groups(looked_at(root, copies="off"))
    assert apart["leak/x1.jpg"] != apart["leak/leak_30.jpg"]


def test_copies_by_name_stay_together_whatever_they_show(tmp_path):
    root = folder(tmp_path)
    write(root / "sound/sound_20_aug1.jpg", scene(500))
    write(root / "sound/sound_20_aug2.jpg", scene(501))
    of = groups(looked_at(root, copies="names"))
    assert of["sound/sound_20_aug1.jpg"] == of["sound/sound_20_aug2.jpg"] == of["sound/sound_20.jpg"]


def test_a_picture_saved_anew_under_another_label_is_left_out_with_its_partner(tmp_path):
    root = folder(tmp_path)
    write(root / "sound/WA0001.jpg", cv2.resize(scene(3), (128, 96), interpolation=cv2.INTER_AREA), 60)
    found = looked_at(root)
    left_out = {entry.path: entry.reason for entry in found.summary.quarantined}
    assert left_out.keys() == {"sound/WA0001.jpg", "leak/leak_30.jpg"}
    assert all(reason.startswith("one picture as leak and as sound: ") for reason in left_out.values())
    assert len(found.records) == 19


def test_one_view_with_and_without_a_spot_is_kept_and_told(tmp_path):
    root = folder(tmp_path)
    spotted = scene(3)
    cv2.circle(spotted, (80, 60), 5, (255, 255, 255), -1)
    write(root / "sound/other.jpg", spotted)
    found = looked_at(root)
    assert not found.summary.quarantined
    assert len(found.summary.contradictions) == 1
    assert any("look the same under two labels" in hint for hint in found.summary.hints)


def test_the_groups_of_a_pattern_stay_whole_and_what_it_does_is_told(tmp_path):
    root = folder(tmp_path, "{label}/pump{asset}_{at}0.jpg")
    found = looked_at(root, group_pattern=r"(pump\d)_")
    stand: dict[str, set[str]] = {}
    for path, side in sides(found).items():
        stand.setdefault(path.split("/")[1][:5], set()).add(side)
    assert [len(where) for where in stand.values()] == [1, 1, 1, 1]
    assert any("data.group_pattern makes 4 groups that stay whole" in hint for hint in found.summary.hints)


def test_assets_on_several_sides_are_told_with_the_line_to_set(tmp_path):
    root = folder(tmp_path, "{label}/pump{asset}_{at}0.jpg")
    (told,) = looked_at(root).summary.proposals
    assert "4 assets" in told
    assert "data.group_pattern = '" in told


def test_a_pattern_that_is_no_regular_expression_is_refused_when_read():
    (wrong,) = DataSettings(source="x", group_pattern="(").contradictions()
    assert "data.group_pattern is '(', which is no regular expression" in wrong


def test_a_class_that_was_saved_in_its_own_way_is_warned_of_before_any_training(tmp_path):
    for place, label in enumerate(("leak", "sound")):
        for at in range(20):
            write(tmp_path / label / f"{at}0.jpg", scene(100 * place + at), 60 if label == "leak" else 92)
    found = looked_at(tmp_path)
    assert {shortcut.kind for shortcut in found.summary.shortcuts} == {"container"}
    assert "quality" in found.summary.shortcuts[0].traits
    assert any(hint.startswith("shortcut: ") for hint in found.summary.hints)


def test_among_very_many_pictures_those_of_two_labels_are_still_left_out_and_what_is_not_found_is_told(
    tmp_path, monkeypatch
):
    root = folder(tmp_path)
    write(root / "sound/WA0001.jpg", cv2.resize(scene(3), (128, 96), interpolation=cv2.INTER_AREA), 60)
    write(root / "leak/x1.jpg", scene(4)[:, ::-1])
    few = looked_at(root)
    for module in ("evaluation.leaks", "stages.dataset"):
        monkeypatch.setattr(f"augment.{module}.MOST_BY_FEATURES", 5)
    many = looked_at(root)
    assert many.records == few.records
    assert many.summary.quarantined == few.summary.quarantined
    hint = "22 pictures are more than the 5 among which copies are looked for by local features"
    assert [hint in " ".join(found.summary.hints) for found in (few, many)] == [False, True]
