"""What names say of where a picture comes from: tools' marks, patterns of the settings, and what is proposed."""

import pytest

from augment.data.group_patterns import MOST_COPIES, copy_stems, effect, named_groups, proposals
from edge_runtime.bundle.errors import InputError


@pytest.mark.parametrize(
    "name",
    [
        "pump_17_jpg.rf.3fa94c0b5a6d7e8f9012345678abcdef.jpg",
        "pump_17.rf.AbC123xyz987.jpg",
        "pump_17_aug3.jpg",
        "pump_17_flip.png",
        "PUMP_17_hflip_rot90.jpg",
        "pump_17_rotated_10deg.jpg",
        "pump_17 (2).jpg",
        "pump_17_copy.jpg",
        "pump_17 - Copy (3).jpg",
        "Kopie von pump_17.jpg",
        "3fa94c0b-pump_17.jpg",
        "pump_17_3fa94c0b5a6d.jpg",
        "leak_original_pump_17.jpg_0a1b2c3d-1111-2222-3333-444455556666.jpg",
        "pump_17_0_4567.jpeg",
        "pump_17_1.jpg",
    ],
)
def test_a_tools_mark_does_not_hide_the_source(name):
    keys = copy_stems([f"leak/{name}", "leak/pump_17.jpg", "leak/pump_18.jpg"], ["leak", "sound"]).keys
    assert keys[0] == keys[1] is not None
    assert keys[2] is None


def test_copies_are_joined_across_the_folders_of_a_split_and_of_augmentations():
    paths = ["train/leak/a1_jpg.rf.0123456789ab.jpg", "valid/leak/a1_jpg.rf.ba9876543210.jpg", "leak/aug/a1_aug2.jpg"]
    assert len(set(copy_stems(paths, ["leak"]).keys)) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["pump (1).jpg", "pump (2).jpg", "pump (3).jpg"],  # numbered by a file manager
        ["pump_1.jpg", "pump_2.jpg", "pump_3.jpg"],
        ["IMG_0012.jpg", "IMG_0013.jpg"],
        ["leak_0a1b2c3d4e.jpg", "leak_9f8e7d6c5b.jpg"],  # the class and a hash
        ["3fa94c0b5a6d.jpg", "4fa94c0b5a6d.jpg"],  # nothing but a hash
        ["night_dark_1.jpg", "night_dark_2.jpg"],  # no such original, no number
        ["20240131_120000.jpg", "20240131_120500.jpg"],
    ],
)
def test_names_that_number_pictures_join_nothing(names):
    assert set(copy_stems([f"leak/{name}" for name in names], ["leak", "sound"]).keys) == {None}


def test_a_stem_of_too_many_files_is_doubted_and_not_joined():
    paths = [f"leak/image7_jpg.rf.{at:032x}a.jpg" for at in range(MOST_COPIES + 1)]
    found = copy_stems(paths, ["leak"])
    assert set(found.keys) == {None}
    assert found.doubted == {"image7": MOST_COPIES + 1}


def test_counters_of_two_visits_are_two_sources():
    paths = ["a/IMG_1.jpg", "a/IMG_1_flip.jpg", "b/IMG_1.jpg", "b/IMG_1_flip.jpg"]
    first, second, third, fourth = copy_stems(paths, []).keys
    assert first == second != third == fourth


def test_a_pattern_takes_the_asset_else_the_first_group_else_all():
    paths = ["leak/P7_u1.jpg", "leak/p7_u2.jpg", "leak/other.jpg"]
    assert named_groups(r"(u)\d|(?P<asset>p\d)_", [path.lower() for path in paths]) == ["p7", "p7", None]
    assert named_groups(r"([Pp]\d)_", paths) == ["p7", "p7", None]
    assert named_groups(r"[Pp]\d", paths) == ["p7", "p7", None]


def test_a_pattern_that_is_none_is_refused_and_what_one_does_is_told():
    with pytest.raises(InputError, match="no regular expression"):
        named_groups("(", ["a.jpg"])
    told = effect(["a", "a", "b", None], ["1.jpg", "2.jpg", "3.jpg", "4.jpg"], "data.group_pattern")
    assert "2 groups" in told
    assert "the biggest a with 2 images" in told
    assert "1 images have none (first 4.jpg)" in told
    assert "no group in any of 1 images" in effect([None], ["1.jpg"], "data.group_pattern")


def assets(pattern: str, count: int = 6, shots: int = 5) -> tuple[list[str], list[str]]:
    labels = ("leak", "sound")
    paths = [pattern.format(label=labels[(a + s) % 2], a=a, s=s) for a in range(count) for s in range(shots)]
    return paths, [labels[(a + s) % 2] for a in range(count) for s in range(shots)]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("{label}/pump_{a}_{s:03}.jpg", "asset"),
        ("{label}/{label}_T{a}_{s:03}.jpg", "asset"),
        ("{label}/2024-03-1{a}_IMG{s:03}.jpg", "visit"),
        ("{label}/2024031{a}12000{s}.jpg", "visit"),
        ("{label}/site{a}/DSC{s}.jpg", "folder"),
    ],
)
def test_assets_visits_and_sites_in_names_are_proposed_as_a_line_for_the_settings(pattern, what):
    paths, labels = assets(pattern)
    found = {proposal.what: proposal for proposal in proposals(paths, labels, {})}
    assert len(set(found[what].groups)) == 6
    told = found[what].sentence(["train", "test"] * 15)
    assert "every one stands on several sides" in told
    line = found[what].setting.removeprefix("data.group_pattern = '").removesuffix("'")
    assert tuple(named_groups(line, paths)) == found[what].groups


def test_plain_numbers_and_the_classes_themselves_are_no_proposal():
    paths = [f"{label}/{label}_{at:04}.jpg" for label in ("leak", "rust", "sound") for at in range(20)]
    assert proposals(paths, [path.split("/")[0] for path in paths], {}) == []


def test_days_in_exif_are_proposed():
    paths, labels = assets("{label}/{a}{s}.jpg")
    days = [f"2024-03-{at // 5 + 10}" for at in range(30)]
    assert [proposal.setting for proposal in proposals(paths, labels, {"day": days, "place": [""] * 30})] == [
        'data.group_exif = "day"'
    ]
