"""The presets of `rarefault init`."""

from dataclasses import replace

from augment.presets import PRESETS


def test_the_full_size_presets_train_with_the_strong_recipe_and_mini_does_not():
    keys = ("views", "mixup", "cutmix", "balance", "ema", "real_last", "label_smoothing")
    recipe = {name: [getattr(preset.train, key) for key in keys] for name, preset in PRESETS.items()}
    assert recipe["sd21"] == recipe["sd15"] == ["trivial", 0.2, 1.0, "softmax", 0.99, 0.1, 0.1]
    assert recipe["mini"] == ["mild", 0.0, 0.0, "none", 0.0, 0.0, 0.1]


def test_what_judges_meaning_in_the_demo_does_not_depend_on_what_is_installed():
    assert PRESETS["mini"].refine.meaning == "lexical"


def test_every_preset_can_be_meant():
    for preset in PRESETS.values():
        named = replace(preset, data=replace(preset.data, source="images"))
        assert named.contradictions() == []


def test_a_laptop_trains_on_frozen_features_with_a_classic_arm_beside():
    settings = PRESETS["cpu"]
    assert (settings.train.layers, settings.train.head, settings.train.aspect) == ("classifier", "auto", "native")
    assert settings.compare.baseline == "real+classic"
    assert settings.compare.candidate == settings.export.arm == "real+heal"


def test_the_preset_for_a_laptop_takes_off_a_part_of_each_pictures_own_look():
    assert (PRESETS["cpu"].train.centre, PRESETS["cpu"].train.cross_fit) == (0.7, 5)
