"""pipeline.toml: mistakes are named with the nearest right word."""

from dataclasses import fields, replace

import pytest
import tomllib

from augment.presets import PRESETS
from augment.settings import SECTIONS, DataSettings, Settings, load_settings, write_once, write_settings
from edge_runtime.bundle.errors import InputError


def settings_with_source(preset="mini") -> Settings:
    data = DataSettings(
        source="images",
        faults=("leak",),
        phrases={"a b": 'c "d"'},
        groups={"pump": ("a b", "leak"), "fan 2": ("fan",)},
        kinds={"wet": ("leak",)},
    )
    return replace(PRESETS[preset], data=data)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_written_whole_and_read_back_equal(preset, tmp_path):
    path = tmp_path / "pipeline.toml"
    write_settings(settings_with_source(preset), path)
    assert load_settings(path) == settings_with_source(preset)
    content = tomllib.loads(path.read_text())
    for section in SECTIONS:
        assert set(content[section]) == {item.name for item in fields(getattr(settings_with_source(), section))}


def test_every_key_is_explained_in_the_file(tmp_path):
    write_settings(settings_with_source(), tmp_path / "pipeline.toml")
    lines = (tmp_path / "pipeline.toml").read_text().splitlines()
    keys = [line for line in lines if " = " in line and not line.startswith("#")]
    assert keys
    assert [line for line in keys if "  # " not in line] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[train]\nwidht = 3", "train.widht is unknown; did you mean width"),
        ("[trian]\nwidth = 3", "trian is unknown; did you mean train"),
        ("[data]\nsource = 3", "data.source is 3, expected a text"),
        ("seed = true", "seed is true, expected a whole number"),
        ("train = 3", "train is 3, expected a section"),
        ('[data]\nsource = "x"\nlayout = "y"', "data.layout is 'y', expected one of auto, folders"),
        ("[generate]\ncap = 371", "generate.cap is 371, expected 1 to 370"),
        ("[train]\nsteps = 0", "train.steps is 0, expected at least 1"),
        ("[train", "is no TOML: "),
        ("", "data.source is empty"),
        (
            '[data]\nsource = "x"\n[compare]\ncandidate = "mixed"',
            "compare.candidate is 'mixed', expected one of train.arms",
        ),
        ('[data]\nsource = "x"\n[compare]\ncandidate = "real"', "are the same arm"),
        (
            '[data]\nsource = "x"\nfaults = ["f"]\ngroups = {a = ["n", "f"], b = ["n"]}',
            "data.groups names n 2 times, expected once",
        ),
        (
            '[data]\nsource = "x"\nfaults = ["f"]\ngroups = {a = ["f"]}',
            "data.groups.a needs a name and exactly one label that is no fault, but all of its labels are of data.fau",
        ),
        (
            '[data]\nsource = "x"\nfaults = ["f"]\ngroups = {a = ["m", "n", "f"]}',
            "exactly one label that is no fault, but m, n are none of data.faults",
        ),
        (
            '[data]\nsource = "x"\nfaults = ["f"]\nkinds = {k = ["n"]}',
            "data.kinds.k names n, expected a name and labels",
        ),
        (
            '[data]\nsource = "x"\nfaults = ["f", "g"]\ngroups = {a = ["n", "f", "g"]}\nkinds = {k = ["f", "g"]}',
            "data.kinds.k joins f and g, which data.groups.a tells apart",
        ),
        ('[data]\nsource = "x"\ngroups = {a = "n"}', "data.groups.a is a text, expected a list"),
        (
            '[data]\nsource = "x"\n[generate]\nmethods = ["adapted-inpaint-0.9"]',
            "adapted-inpaint-0.9, but generate.hosts",
        ),
        ('[data]\nsource = "x"\n[refine]\nvariants = 9\nattempts = 3', "refine.attempts is less than refine.variants"),
        ('[data]\nsource = "x"\n[train]\nviews = "wild"', "train.views is 'wild', expected one of mild, trivial, rand"),
        ('[data]\nsource = "x"\n[train]\nema = 1.0', "train.ema is 1.0, expected 0.0 to 0.9999"),
        (
            '[data]\nsource = "x"\n[train]\nreplace = 0.5\nsynthetic_shares = [0.2]',
            "train.replace and train.synthetic_shares both weigh generated images",
        ),
        (
            '[data]\nsource = "x"\n[train]\nreplace = 0.5\nlayers = "classifier"\nweights = "imagenet"',
            "train.replace is for train.layers = all",
        ),
        (
            '[data]\nsource = "x"\n[train]\nsynthetic_norm = true\nlayers = "classifier"\nweights = "imagenet"',
            "train.synthetic_norm is for train.layers = all",
        ),
        (
            '[data]\nsource = "x"\n[train]\nsynthetic_norm = true\nbatch_size = 2',
            "train.batch_size is 2, expected at least 3",
        ),
        ('[data]\nsource = "x"\n[generate]\nsize = 100', "generate.size is 100, expected 0 or a multiple of 8 .* 96"),
        ('[data]\nsource = "x"\n[generate]\nsize = 8', "generate.size is 8, .* such as 32"),
        ('[data]\nsource = "x"\n[generate]\nmethods = []', "generate.methods is empty"),
        ('[data]\nsource = "x"\n[generate]\nmethods = ["codec", "codec"]', "names codec 2 times, expected once"),
        ('[data]\nsource = "x"\n[generate]\nmethods = ["img2img-0.01"]', "less than one of generate.steps .20."),
        ('[data]\nsource = "x"\n[generate]\nfloor = 9\ncap = 8', "generate.floor .9. is more than generate.cap .8."),
        ('[data]\nsource = "x"\n[caption]\nprefix = "a {label}"', "caption.prefix is 'a {label}', expected"),
        ('[data]\nsource = "x"\n[caption]\nprefix = "a {"', "caption.prefix is 'a {', expected"),
        ('[data]\nsource = "x"\n[export]\nprecisions = ["fp33"]', "names 'fp33', expected some of fp32"),
        ('[data]\nsource = "x"\n[export]\nprecisions = ["int8"]', "export.precisions lacks fp32"),
        ('[data]\nsource = "x"\n[export]\nname = " "', "export.name is ' ', expected 1 to 64 characters"),
        ('[data]\nsource = "x"\n[train]\narms = ["real", "real", "combined"]', "train.arms names real 2 times"),
        ('[data]\nsource = "x"\nfaults = ["f", "f"]', "data.faults names f 2 times"),
        ('[data]\nsource = "x"\nlevels = "split/site"', "data.levels is 'split/site', expected words"),
        ('[data]\nsource = "x"\nlevels = "class//date"', "data.levels is"),
        ("seed = 9223372036854775808", "seed is 9223372036854775808, expected 0 to"),
    ],
)
def test_a_mistake_is_one_sentence(text, sentence, tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_settings(path)


def test_contradictions_are_told_together(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text('[train]\narms = ["real"]')
    with pytest.raises(InputError) as error:
        load_settings(path)
    assert "data.source" in str(error.value)
    assert "compare.candidate" in str(error.value)
    assert "export.arm" in str(error.value)


def test_a_missing_file_names_the_command_that_writes_it(tmp_path):
    with pytest.raises(InputError, match="rarefault init"):
        load_settings(tmp_path / "pipeline.toml")


def test_whole_numbers_are_numbers_where_a_fraction_is_expected(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text('[data]\nsource = "x"\n[generate]\nguidance = 2')
    assert load_settings(path).generate.guidance == 2.0


def test_a_run_of_old_whose_meaning_is_judged_by_what_is_installed_still_loads(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text('[data]\nsource = "x"\n[refine]\nmeaning = "auto"')
    assert load_settings(path).refine.meaning == "auto"


def test_a_label_in_words():
    settings = settings_with_source()
    assert settings.phrase("line_hotspot") == "line hotspot"
    assert settings.phrase("a b") == 'c "d"'


def test_a_file_that_says_the_same_is_kept_and_another_refused(tmp_path):
    path, settings = tmp_path / "run" / "pipeline.toml", replace(PRESETS["mini"], data=DataSettings(source="images"))
    write_once(settings, path, "this demo")
    assert load_settings(path) == settings
    older = replace(settings, refine=replace(settings.refine, meaning="auto"))  # as the preset of 0.1.0 had it
    write_settings(older, path)
    write_once(settings, path, "this demo")
    assert load_settings(path) == older
    with pytest.raises(InputError, match="is no run of this demo; choose another --out, or remove"):
        write_once(replace(settings, seed=9), path, "this demo")


def test_a_relative_source_counts_from_the_file_and_as_before_where_nothing_lies_there(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "shell/images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shell")
    path = tmp_path / "run/pipeline.toml"
    path.write_text('[data]\nsource = "images"\nboxes = "drawn"\n')
    assert load_settings(path).data.source == str(tmp_path / "shell/images")
    (tmp_path / "run/drawn").mkdir()
    assert load_settings(path).data.boxes == str(tmp_path / "run/drawn")
    (tmp_path / "run/images").mkdir()
    with pytest.raises(InputError, match=r"data.source is images, which counts from the folder of pipeline.toml"):
        load_settings(path)
    monkeypatch.chdir(tmp_path / "run")
    assert load_settings(path).data.source == str(tmp_path / "run/images")
    path.write_text('[data]\nsource = "elpv-dataset"\n')
    assert load_settings(path).data.source == "elpv-dataset"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_are_read_as_any_editor_saves_them(tmp_path, encoding):
    path = tmp_path / "pipeline.toml"
    path.write_bytes('[data]\r\nsource = "Öl"\r\n'.encode(encoding))
    assert load_settings(path).data.source == "Öl"
