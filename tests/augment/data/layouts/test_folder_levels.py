"""Folders are read where their names leave one meaning; else a sentence says what they look like and how to say it."""

import pytest

from augment.data.layouts.folder_levels import Place, read_levels
from augment.data.layouts.folder_words import side_of
from edge_runtime.bundle.errors import InputError

SPLIT = {"train": ("train",), "valid": ("val",), "test": ("test",)}


def read(*folders, levels="", named=()):
    chains = {tuple(folder.split("/")) if folder else () for folder in folders}
    places, note = read_levels(chains, levels, set(named))
    return {"/".join(chain): place for chain, place in places.items()}, note


def classes(*folders, **options):
    return {folder: place.label for folder, place in read(*folders, **options)[0].items() if isinstance(place, Place)}


def refusal(*folders, **options):
    with pytest.raises(InputError) as caught:
        read(*folders, **options)
    return str(caught.value)


def every(first, *lists):
    """All paths that take one name of each list."""
    paths = list(first)
    for names in lists:
        paths = [f"{path}/{name}" for path in paths for name in names]
    return paths


@pytest.mark.parametrize("sides", [("train", "valid", "test"), ("Train", "Val", "Testing"), ("training", "TEST")])
@pytest.mark.parametrize("around", ["{}/{}", "images/{}/{}", "data/images/{}/{}", "{}/images/{}", "{}/{}/images"])
def test_sides_of_a_split_above_the_classes_are_respected(sides, around):
    folders = [around.format(side, label) for side in sides for label in ("ok", "leak")]
    places, note = read(*folders)
    assert {place.label for place in places.values()} == {"ok", "leak"}
    assert all(place.sides == side_of(next(s for s in sides if s in folder)) for folder, place in places.items())
    assert note.startswith("read as split/class")


def test_sides_below_the_classes_are_respected_too():
    places, note = read(*every(("ok", "leak"), ("train", "test")))
    assert places["leak/test"] == Place("leak", ("test",), None)
    assert note.startswith("read as class/split")


def test_a_side_that_stands_alone_is_no_split():
    places, note = read("train/ok", "train/leak")
    assert places["train/ok"] == Place("ok", None, None)
    assert "only side" in note


@pytest.mark.parametrize(
    "folders",
    [
        ("ok", "leak"),
        ("ok/cam1", "ok/cam2", "leak/cam1"),
        ("ok/2024-05-01", "leak/2024-05-01", "leak/2024-06-01"),
        ("ok/DCIM/100CANON", "leak/DCIM/100CANON"),
        ("ok", "ok/deep/er", "leak/deep/er"),
        ("ok/images", "leak/images"),
        ("ok/pump", "leak/valve"),
        ("class_0", "class_1"),
        ("0", "1", "2"),
        ("line_normal", "tower_hotspot"),
        ("photos", "drawings"),
        ("masks", "faces"),
    ],
)
def test_a_class_on_top_stays_one(folders):
    assert classes(*folders) == {folder: folder.split("/")[0] for folder in folders}


def test_holders_are_passed_through_and_masks_are_no_pictures():
    assert classes("images/images/ok", "images/images/leak") == {"images/images/ok": "ok", "images/images/leak": "leak"}
    places, _ = read("images/ok", "images/leak", "masks/ok", "masks/leak")
    assert places["images/ok"].label == "ok"
    assert places["masks/ok"] == "lies in a folder for masks or labels"
    mvtec, _ = read("train/good", "test/good", "test/crack", "ground_truth/crack")
    assert mvtec["test/crack"] == Place("crack", ("test",), None)
    assert isinstance(mvtec["ground_truth/crack"], str)


@pytest.mark.parametrize(
    ("folders", "look", "setting"),
    [
        (every(("site_a", "site_b"), ("ok", "leak")), "look like sites", "site/class"),
        (every(("north", "south"), ("ok", "leak")), "hold folders of the same names (leak, ok)", "site/class"),
        (every(("2024-05-01", "2024-06-01"), ("ok", "leak")), "look like dates", "date/class"),
        (["2024-05-01", "2024-06-01"], "look like dates", "class"),
        (["cam1", "cam2"], "look like sites", "class"),
        (every(("images",), ("site 1", "site 2"), ("ok", "leak")), "look like sites", "*/site/class"),
        (every(("train", "test"), ("site_a", "site_b"), ("ok", "leak")), "look like sites", "split/site/class"),
        (every(("ok", "leak"), ("train", "test"), ("pump", "valve")), "hold sides of a split", "class/split"),
        (["ok", "leak", "test"], "the folder test looks like sides of a split, and others", "class"),
        (["train", "valid", "test"], "no folder below them names a class", "class"),
        (["train/images", "valid/images"], "no folder below them names a class", "class"),
        (every(("split_1", "split_2"), ("ok", "leak")), "look like parts of a split", "*/class"),
        (["project/ok", "project/leak"], "the folder project holds everything", "*/class"),
    ],
)
def test_what_could_mean_several_things_is_asked_for(folders, look, setting):
    sentence = refusal(*folders)
    assert look in sentence
    assert f'data.levels = "{setting}"' in sentence


def test_names_in_the_settings_tell_which_level_is_the_class():
    nested = every(("ok", "leak"), ("front", "back"))
    assert 'data.levels = "site/class"' in refusal(*nested)
    assert set(classes(*nested, named=["leak"]).values()) == {"ok", "leak"}
    assert 'data.levels = "site/class"' in refusal("a/ok", "b/leak", named=["leak"])
    assert classes("ok", "test", named=["test"]) == {"ok": "ok", "test": "test"}


def test_the_setting_says_class_side_and_what_stays_together():
    places, _ = read("a/ok/2024", "b/leak/2025/x", "b", "", levels="site/class/date")
    assert places["a/ok/2024"] == Place("ok", None, "a/2024")
    assert places["b/leak/2025/x"] == Place("leak", None, "b/2025")
    assert places["b"] == "lies in no folder that names its class (levels site/class/date)"
    assert places[""] == "lies beside the class folders, so it has no label"
    split, _ = read("x/Valid/ok", "x/other/ok", levels="*/split/class")
    assert split["x/Valid/ok"] == Place("ok", ("val",), None)
    assert "no side of a split" in split["x/other/ok"]


def test_what_lies_below_the_classes_is_proposed_to_stay_together():
    assert 'data.levels = "class/date"' in read("ok/2024-05-01", "leak/2024-05-01")[1]
    assert 'data.levels = "class/site"' in read("ok/cam1", "ok/cam2", "leak/cam1")[1]
    assert read("ok", "leak")[1] == ""


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("train", ("train",)), ("Training_Set", ("train",)), ("train2017", ("train",)), ("images-train", ("train",)),
        ("val", ("val",)), ("Validation", ("val",)), ("validación", ("val",)), ("testing", ("test",)),
        ("test_images", ("test",)), ("hold-out", None), ("trainval", ("train", "val")), ("trains", None),
        ("tested", None), ("contest", None), ("valve", None), ("latest", None),
    ],
)  # fmt: skip
def test_words_for_sides(name, sides):
    assert side_of(name) == sides


@pytest.mark.parametrize(
    "folders",
    [
        every(("Nord", "Sued"), ("2024-03-01", "2024-05-11"), ("intakt", "oil")),
        every(("plant a", "plant b"), ("line 1", "line 2"), ("2024-03", "2024-04"), ("ok", "leak")),
    ],
)
def test_classes_below_sites_and_visits_are_not_taken_for_either(folders):
    said = refusal(*folders)
    assert "hold folders of the same names" in said
    assert "/class" in said
    assert classes(*folders, levels="/".join(["site", *["visit"] * (folders[0].count("/") - 1), "class"]))


def test_one_name_below_every_class_names_no_class():
    assert set(classes("ok/raw", "leak/raw").values()) == {"ok", "leak"}


@pytest.mark.parametrize("sides", [("treinamento", "validação", "teste"), ("训练集", "测试集"), ("обучение", "тест")])
def test_sides_are_known_in_other_languages(sides):
    places, note = read(*every(sides, ("ok", "leak")))
    assert {place.label for place in places.values()} == {"ok", "leak"}
    assert note.startswith("read as split/class")


def test_months_are_dates_in_other_languages():
    _, note = read(*every(("ok", "leak"), ("март 2024", "май 2024")))
    assert 'data.levels = "class/date"' in note
