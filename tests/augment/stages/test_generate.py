"""Planning, top-up, provenance and resuming, with a painter whose pixels are a function of prompt and seed."""

import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.data.split import learned_sides
from augment.methods import parse_method
from augment.mini.scenes import render, sample_scene
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.presets import PRESETS
from augment.records import ADAPTER, CAPTIONS, CURATION, DATASET, PROMPTS, RunFolder
from augment.settings import DataSettings, GenerateSettings
from augment.stages import generate
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes
from tests.support.made_documents import made
from tests.support.pickled_engine import PickledEngine


class NoisePainter:
    """Stands in for Stable Diffusion: seeded noise. Can be told to blank a prompt or to die at a batch."""

    side = 8

    def __init__(self, blank: str = "", die_at: int | None = None) -> None:
        self.blank, self.die_at, self.batches = blank, die_at, 0

    def paint(self, orders, method, adapter):
        if self.batches == self.die_at:
            raise KeyboardInterrupt
        self.batches += 1
        images = []
        for order in orders:
            rng = np.random.default_rng([order.seed, zlib.crc32(order.prompt.encode())])
            images.append(None if order.prompt == self.blank else rng.integers(1, 256, (8, 8, 3), np.uint8))
        return images


class NoiseModels:
    def __init__(self, **painter) -> None:
        self.painter = NoisePainter(**painter)
        self.painter_folder = type("Folder", (), {"identity": {"name": "noise", "sha256": "0"}})()

    def renderer(self, seed, domain, label, side):
        return render(sample_scene(seed, domain, label), side)


def settings(**section):
    return replace(PRESETS["mini"], data=DataSettings(source="x"), generate=GenerateSettings(batch_size=4, **section))


def run_folder(path, real=None):
    folder = RunFolder(path)
    records = [
        {"id": f"{label}{n}", "label": label, "split": "train"}
        for label, count in (real or {"a": 6, "b": 2}).items()
        for n in range(count)
    ]
    records.append({"id": "t", "label": "b", "split": "test"})
    dataset = folder.write(made(DATASET, None, records))
    prompts = [
        {"id": f"{r['id']}-{n}", "source": r["id"], "label": r["label"], "caption": "c", "prompt": f"{r['id']} {n}"}
        for r in records
        if r["split"] == "train"
        for n in range(2)
    ]
    captions = folder.write(made(CAPTIONS, dataset.digest, []))
    written = folder.write(made(PROMPTS, captions.digest, prompts))
    folder.write(made(ADAPTER, written.digest, [], {"path": None, "sha256": None}))
    return folder


def curate(folder, synthetic, rejected=(), recall=None):
    records = [
        {"id": record.id, "label": record.label, "method": record.method, "kept": record.id not in rejected}
        for record in synthetic.records
    ]
    return folder.write(made(CURATION, synthetic.digest, records, {"validation_recall": recall}))


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ({}, {"a": 0, "b": 4}),  # up to the largest class; the test image does not count
        ({"target": 10}, {"a": 4, "b": 8}),
        ({"target": 10, "cap": 5}, {"a": 4, "b": 5}),
        ({"floor": 3}, {"a": 3, "b": 4}),
    ],
)
def test_each_class_is_topped_up_to_the_target_between_floor_and_cap(section, wanted):
    records = [{"label": "a", "split": "train"}] * 6 + [{"label": "b", "split": "train"}] * 2
    records += [{"label": "b", "split": "test"}]
    assert generate.wanted_images(made(DATASET, None, records).records, GenerateSettings(**section)) == wanted


def test_every_image_names_its_source_prompt_seed_and_file(tmp_path):
    document = generate.run(settings(target=10), run_folder(tmp_path), NoiseModels())
    assert len(document.records) == 12
    for record in document.records:
        data = (tmp_path / record.path).read_bytes()
        assert record.sha256 == sha256_bytes(data)
        assert record.path == f"synthetic/images/{record.label}/{record.id}.png"
        assert record.prompt.startswith(record.source)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(image, NoisePainter().paint([Order(record.prompt, record.seed)], None, None)[0])
    assert len({record.seed for record in document.records}) == 12


def test_a_killed_run_goes_on_and_ends_with_the_same_images(tmp_path):
    whole = generate.run(settings(target=10), run_folder(tmp_path / "whole"), NoiseModels())
    folder = run_folder(tmp_path / "killed")
    for die_at in (0, 1, 1):
        with pytest.raises(KeyboardInterrupt):
            generate.run(settings(target=10), folder, NoiseModels(die_at=die_at))
    models = NoiseModels()
    resumed = generate.run(settings(target=10), folder, models)
    assert models.painter.batches == 1  # two of three batches were in the journal
    assert resumed.digest == whole.digest
    for record in whole.records:
        assert (tmp_path / "whole" / record.path).read_bytes() == (tmp_path / "killed" / record.path).read_bytes()


def test_workers_paint_what_this_process_paints(tmp_path):
    whole = generate.run(settings(target=10), run_folder(tmp_path / "whole"), NoiseModels())
    spread = generate.run(settings(target=10), run_folder(tmp_path / "spread"), NoiseModels(), PickledEngine())
    assert spread.digest == whole.digest
    for record in whole.records:
        assert (tmp_path / "whole" / record.path).read_bytes() == (tmp_path / "spread" / record.path).read_bytes()


def test_a_second_call_paints_nothing_until_curation_asks(tmp_path):
    folder, models = run_folder(tmp_path), NoiseModels()
    first = generate.run(settings(), folder, models)
    assert generate.run(settings(), folder, models).version == first.version
    curate(folder, first)
    assert generate.run(settings(), folder, models).version == first.version
    assert models.painter.batches == 1


def test_rejected_images_are_replaced_by_new_ones_for_a_bounded_number_of_rounds(tmp_path):
    folder, models = run_folder(tmp_path), NoiseModels()
    chosen = settings(rounds=2)
    first = generate.run(chosen, folder, models)
    bad = {first.records[0].id, first.records[1].id}
    curate(folder, first, bad)
    second = generate.run(chosen, folder, models)
    assert (second.version, second.summary.round, len(second.records)) == (2, 2, 6)
    assert {record.id for record in first.records} < {record.id for record in second.records}
    curate(folder, second, bad | {second.records[-1].id})
    assert generate.run(chosen, folder, models).version == 2


def test_the_budget_goes_where_validation_recall_is_low(tmp_path):
    folder, models = run_folder(tmp_path, {"a": 2, "b": 2, "c": 2}), NoiseModels()
    chosen = settings(target=12, rounds=2, budget="recall", cap=12)
    first = generate.run(chosen, folder, models)
    assert first.summary.wanted == {"text2img": {"a": 5, "b": 5, "c": 5}}
    rejected = {next(record.id for record in first.records if record.label == "b")}
    curate(folder, first, rejected, {"a": 1.0, "b": 0.0, "c": None})
    second = generate.run(chosen, folder, models)
    # 15 more, in proportion to 0.05, 1.05 and 0.55; the cap holds; what was rejected is made again
    assert second.summary.wanted == {"text2img": {"a": 5, "b": 12, "c": 10}}
    painted = [record.label for record in second.records]
    assert {label: painted.count(label) for label in "abc"} == {"a": 5, "b": 13, "c": 10}
    curate(folder, second, rejected, {"a": 1.0, "b": 0.0, "c": 0.0})
    assert generate.run(chosen, folder, models).version == second.version


def test_edits_start_from_the_class_and_its_counterpart_both_ways_round(tmp_path, monkeypatch):
    monkeypatch.setattr(generate.ImageStore, "frame", lambda self, record: np.full((20, 10, 3), 7, np.uint8))
    folder = run_folder(tmp_path, {"leak": 2, "sound": 3, "gauge": 3})
    chosen = settings(methods=("edit-0.7",), hosts={"leak": "sound"}, target=30)
    document = generate.run(chosen, folder, NoiseModels())
    hosts = {
        label: {record.host[:-1] for record in document.records if record.label == label}
        for label in ("leak", "sound", "gauge")
    }
    assert hosts == {"leak": {"leak", "sound"}, "sound": {"leak", "sound"}, "gauge": {"gauge"}}
    assert {record.strength for record in document.records} == {0.7}
    assert all(record.prompt.startswith(record.label) for record in document.records)


def test_what_the_safety_filter_blanked_is_counted_and_has_no_file(tmp_path):
    document = generate.run(settings(), run_folder(tmp_path), NoiseModels(blank="b0 1"))
    blanked = [record for record in document.records if record.blanked]
    assert len(document.records) == 4
    assert len(blanked) == 1
    assert blanked[0].path is None
    assert len(list(tmp_path.rglob("*.png"))) == 3


def test_other_settings_make_other_images(tmp_path):
    folder = run_folder(tmp_path)
    one = generate.run(settings(), folder, NoiseModels())
    two = generate.run(settings(guidance=4.0), folder, NoiseModels())
    assert not {record.id for record in one.records} & {record.id for record in two.records}


def test_each_method_makes_the_quota_with_the_same_seeds_and_only_some_start_from_an_image(tmp_path, monkeypatch):
    seen = []

    class Noting(NoisePainter):
        def paint(self, orders, method, adapter):
            seen.append((method.name, {order.source is not None for order in orders}))
            return super().paint(orders, method, adapter)

    monkeypatch.setattr(generate.ImageStore, "frame", lambda self, record: np.full((20, 10, 3), 7, np.uint8))
    models = NoiseModels()
    models.painter = Noting()
    document = generate.run(settings(methods=("text2img", "img2img-0.5", "codec")), run_folder(tmp_path), models)
    assert seen == [("text2img", {False}), ("img2img-0.5", {True}), ("codec", {True})]
    seeds = {}
    for record in document.records:
        seeds.setdefault(record.method, set()).add(record.seed)
    assert len(document.records) == 12
    assert seeds["text2img"] == seeds["img2img-0.5"] == seeds["codec"]


def test_the_renderer_is_a_painter_for_its_own_labels_only(tmp_path):
    folder = run_folder(tmp_path, {"closed_cabinet": 3, "breached_cabinet": 1})
    document = generate.run(settings(methods=("render-station",)), folder, NoiseModels())
    assert [record.label for record in document.records] == ["breached_cabinet"] * 2
    with pytest.raises(InputError, match="scene label is 'b'"):
        generate.run(settings(methods=("render-station",)), run_folder(tmp_path / "other"), NoiseModels())


@pytest.mark.parametrize("name", ["img2img", "img2img-0.0", "img2img-1.5", "adapted-codec", "txt2img"])
def test_an_unknown_method_is_refused(name):
    with pytest.raises(InputError, match=f"method '{name}' of generating is not known"):
        parse_method(name)


def test_the_embedded_model_paints_by_every_method():
    painter = Models(settings(steps=4)).painter
    frame = render(sample_scene(3, "catalogue", "closed_cabinet"), painter.side)
    orders = [Order("a photo of a closed cabinet", 1, frame)]
    codec, weak, strong = (
        painter.paint(orders, parse_method(name), None)[0].astype(float)
        for name in ("codec", "img2img-0.3", "img2img-0.9")
    )
    far = [np.abs(image - frame).mean() for image in (codec, weak, strong)]
    assert far[0] < 8  # grey levels: the codec alone keeps the picture
    assert far[0] < far[1] < far[2]


def thermal_folder(path, first_host=(60, 80), noise=0, boxed=((30, 20, 8, 8),)):
    """Two sound hosts, two faults, one of them with boxes, and prompts: a data set on disk and its documents.

    With `noise` in grey levels the pictures have so many colours that they are no thermal ones.
    """
    folder, rng = RunFolder(path / "run"), np.random.default_rng(0)
    records = []
    for name, label, level, boxes in (
        ("s0", "sound", 60, ()), ("s1", "sound", 90, ()), ("f0", "hot", 60, boxed), ("f1", "hot", 60, ())
    ):  # fmt: skip
        height, width = first_host if name == "s0" else (60, 80)
        frame = np.full((height, width, 3), level, np.uint8)
        frame[25:35] = level + 40  # a conductor
        if boxes:
            frame[20:28, 30:38] = 250
        if not noise:
            frame = cv2.applyColorMap(frame, cv2.COLORMAP_INFERNO)
        frame = (frame + rng.integers(-noise, noise + 1, frame.shape)).clip(0, 255).astype(np.uint8)
        (path / label).mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(path / label / f"{name}.png"), frame)
        record = {
            "id": name,
            "path": f"{label}/{name}.png",
            "label": label,
            "split": "train",
            "width": width,
            "height": height,
        }
        records.append({**record, "boxes": [list(box) for box in boxes]} if boxes else record)
    parent = folder.write(made(DATASET, None, records)).digest
    prompts = [
        {"id": f"{source}-{n}", "source": source, "label": label, "caption": "c", "prompt": f"{label} {n}"}
        for source, label in (("f1", "hot"), ("s0", "sound"))
        for n in range(3)
    ]
    for stage, written in ((CAPTIONS, []), (PROMPTS, prompts)):
        parent = folder.write(made(stage, parent, written)).digest
    folder.write(made(ADAPTER, parent, [], {"path": None, "sha256": None}))
    return folder


def test_transplants_come_from_boxes_onto_sound_hosts_and_need_no_model(tmp_path):
    folder = thermal_folder(tmp_path)
    chosen = settings(methods=("transplant",), hosts={"hot": "sound"}, target=6)
    chosen = replace(chosen, data=DataSettings(source=str(tmp_path), layout="folders"))
    models = NoiseModels()
    models.painter = None
    document = generate.run(chosen, folder, models)
    assert {record.label for record in document.records} == {"hot"}
    assert {record.source for record in document.records} == {"f0"}
    assert {record.host for record in document.records} == {"s0", "s1"}
    for record in document.records:
        pasted = cv2.imread(str(folder.path / record.path))
        host = cv2.imread(str(tmp_path / "sound" / f"{record.host}.png"))
        hotter = (pasted.astype(int) - host).max(axis=2) > 40
        assert 20 < hotter.sum() < 400  # a spot of about 8 x 8 pixels, scaled
        x, y, width, height = record.place
        assert hotter[y : y + height, x : x + width].sum() > 0.6 * hotter.sum()
        assert (pasted[~hotter].astype(int) - host[~hotter]).max() <= 40


def inpainting(path, target=6):
    chosen = settings(methods=("inpaint-0.9",), hosts={"hot": "sound"}, target=target)
    return replace(chosen, data=DataSettings(source=str(path), layout="folders"))


def test_inpainted_faults_are_in_a_sound_host_at_the_place_and_to_the_prompt_that_the_record_names(tmp_path):
    folder = thermal_folder(tmp_path)
    document = generate.run(inpainting(tmp_path), folder, NoiseModels())
    assert len(document.records) == 4
    assert {record.prompt for record in document.records} == {"hot 0", "hot 1", "hot 2"}
    for record in document.records:
        assert (record.label, record.source, record.strength) == ("hot", "f0", 0.9)
        assert record.prompt_id == f"f1-{record.prompt[-1]}"
        host = cv2.imread(str(tmp_path / "sound" / f"{record.host}.png"))
        changed = (cv2.imread(str(folder.path / record.path)) != host).any(axis=2)
        x, y, width, height = record.place
        assert 6 <= width <= 10  # of a spot of 8 x 8 pixels
        assert changed[y : y + height, x : x + width].any()
        changed[max(0, y - 6) : y + height + 6, max(0, x - 6) : x + width + 6] = False
        assert not changed.any()
    again = generate.run(inpainting(tmp_path), thermal_folder(tmp_path / "again"), NoiseModels())
    assert [record.sha256 for record in again.records] == [record.sha256 for record in document.records]


def test_inpainting_says_which_faults_were_too_large_and_which_were_blanked(tmp_path):
    folder = thermal_folder(tmp_path, first_host=(12, 12))  # a spot of 8 pixels with its rim is larger
    document = generate.run(inpainting(tmp_path, target=20), folder, NoiseModels(blank="hot 0"))
    on = {host: [record for record in document.records if record.host == host] for host in ("s0", "s1")}
    assert {(record.blanked, record.place) for record in on["s0"]} == {(generate.TOO_LARGE, None)}
    assert {record.blanked for record in on["s1"]} == {generate.SAFETY_FILTER, None}
    assert all((record.blanked is not None) == (record.prompt == "hot 0") for record in on["s1"])


def test_where_no_fault_has_a_box_nothing_is_inpainted(tmp_path):
    document = generate.run(settings(methods=("inpaint-0.9",), hosts={"a": "b"}), run_folder(tmp_path), NoiseModels())
    assert document.summary.wanted == {"inpaint-0.9": {}}
    assert document.records == []


def healing(path, model="mini", **data):
    chosen = settings(methods=("heal",), model=model)
    return replace(chosen, data=DataSettings(source=str(path), layout="folders", faults=("hot",), **data))


def photographs(path):
    return thermal_folder(path, noise=40, boxed=((30, 20, 8, 8), (50, 40, 10, 10)))


def test_every_boxed_fault_is_healed_once_as_its_healthy_label_and_needs_no_model(tmp_path):
    folder, models = thermal_folder(tmp_path), NoiseModels()
    models.painter = None
    document = generate.run(healing(tmp_path), folder, models)
    (record,) = document.records  # f1 has no box
    assert (record.label, record.method, record.source, record.host) == ("sound", "heal", "f0", "f0")
    assert (record.how, record.boxes, record.place, record.prompt) == ("cooled", [[30, 20, 8, 8]], None, None)
    assert document.summary.wanted == {}
    made_image, source = (cv2.imread(str(path)) for path in (folder.path / record.path, tmp_path / "hot" / "f0.png"))
    heat = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[20:28, 30:38].max() for image in (source, made_image)]
    assert heat[0] > 200
    assert heat[1] < 110
    np.testing.assert_array_equal(made_image[35:], source[35:])
    curate(folder, document, rejected={record.id})
    assert generate.run(healing(tmp_path), folder, models).version == document.version  # nothing to top up


def test_validation_images_are_healed_where_cross_fitted_trainings_learn_from_them():
    settled = settings(methods=("heal",))
    assert learned_sides(settled.train.cross_fit) == ("train",)
    crossed = replace(settled, train=replace(settled.train, cross_fit=5))
    assert learned_sides(crossed.train.cross_fit) == ("train", "val")


def test_photographs_are_painted_over_box_by_box_to_a_healthy_prompt_or_patched(tmp_path):
    folder, models = photographs(tmp_path), NoiseModels()
    (record,) = generate.run(healing(tmp_path, model="a/model"), folder, models).records
    assert (record.how, models.painter.batches) == ("inpainted by the generator", 2)
    assert record.prompt.startswith("sound ")
    assert record.prompt_id == f"s0-{record.prompt[-1]}"
    changed = (cv2.imread(str(folder.path / record.path)) != cv2.imread(str(tmp_path / "hot" / "f0.png"))).any(axis=2)
    assert changed[21:27, 31:37].mean() > 0.9
    assert changed[41:49, 51:59].mean() > 0.9
    assert not changed[:14].any()
    assert not changed[:, :24].any()
    again = generate.run(healing(tmp_path, model="a/model"), photographs(tmp_path / "again"), NoiseModels())
    assert again.records[0].sha256 == record.sha256
    other = generate.run(healing(tmp_path), folder, NoiseModels()).records[0]
    assert (other.how, other.prompt, other.prompt_id) == ("patched from elsewhere in the picture", None, None)
    assert other.id != record.id


def test_what_the_filter_blanks_while_it_heals_has_no_file(tmp_path):
    models = NoiseModels()
    models.painter.paint = lambda orders, method, adapter: [None] * len(orders)
    (record,) = generate.run(healing(tmp_path, model="a/model"), photographs(tmp_path), models).records
    assert (record.path, record.blanked) == (None, generate.SAFETY_FILTER)


def test_where_no_fault_has_a_box_nothing_is_healed_and_the_line_says_so(tmp_path):
    document = generate.run(settings(methods=("heal",)), run_folder(tmp_path), NoiseModels())
    assert document.records == []
    assert generate.summary_line(document).endswith(
        "; heal: no training image of a fault has a box, so there is nothing to heal"
    )


def test_the_healthy_label_is_that_of_group_host_or_the_only_one():
    labels = ["cut", "hot", "line", "mast", "wet"]

    def found(hosts=None, **data):
        chosen = replace(settings(hosts=hosts or {}), data=DataSettings(source="x", **data))
        return generate.healthy_labels(chosen, labels)

    faults = ("cut", "hot", "wet")
    assert found(faults=faults) == {}  # two labels are healthy
    assert found(faults=(*faults, "mast")) == dict.fromkeys(("cut", "hot", "mast", "wet"), "line")
    groups = {"line": ("line", "hot", "cut"), "mast": ("mast", "wet")}
    assert found(faults=faults, groups=groups) == {"hot": "line", "cut": "line", "wet": "mast"}
    assert found(faults=faults, hosts={"hot": "mast", "gone": "line"}) == {"hot": "mast"}


def test_a_boxed_fault_without_a_healthy_label_is_named(tmp_path):
    folder = thermal_folder(tmp_path)
    chosen = replace(healing(tmp_path), generate=GenerateSettings(methods=("heal",)))
    chosen = replace(chosen, data=replace(chosen.data, faults=("hot", "sound")))
    document = generate.run(chosen, folder, NoiseModels())
    assert document.summary.notes == ["heal: which label is hot without its fault? say so in data.groups"]


def test_heat_ups_bring_their_place_and_are_for_false_colours_alone(tmp_path):
    def heated(path, folder):
        chosen = settings(methods=("heatup",), hosts={"hot": "sound"}, target=4)
        chosen = replace(chosen, data=DataSettings(source=str(path), layout="folders"))
        return generate.run(chosen, folder, NoiseModels()).records

    folder = thermal_folder(tmp_path / "thermal")
    for record in heated(tmp_path / "thermal", folder):
        made_image = cv2.imread(str(folder.path / record.path)).astype(int)
        hotter = made_image - cv2.imread(str(tmp_path / "thermal" / "sound" / f"{record.host}.png"))
        x, y, width, height = record.place
        assert hotter.min() >= 0
        assert hotter.max() > 60
        assert hotter[y : y + height, x : x + width].sum() > 0.7 * hotter.sum()
    found = heated(tmp_path / "photographs", photographs(tmp_path / "photographs"))
    assert {record.blanked for record in found} == {generate.NO_HEAT}
