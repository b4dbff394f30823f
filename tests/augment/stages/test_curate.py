"""Curation on hashes, embeddings and pictures whose right answer is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.json_objects import from_json
from augment.presets import PRESETS
from augment.record_types import DatasetRecord
from augment.records import ADAPTER, CAPTIONS, DATASET, PROMPTS, SYNTHETIC, RunFolder
from augment.settings import CurateSettings, DataSettings, Settings
from augment.stages import curate
from augment.stages.curate import Measure, Pool, Seen
from edge_runtime.bundle.errors import InputError
from tests.support.made_documents import made
from tests.support.pickled_engine import PickledEngine

SECTION = CurateSettings(blank_std=4, duplicate_bits=1, copy_bits=2, lookalike_bits=3, ceiling=1.2, top_k=1, visible=10)
FAR = 0xFFFF_FFFF_0000_0000
NOWHERE = 0x00FF_00FF_00FF_00FF
DIMENSIONS = 12


def vector(angle: float, axis: int = 0) -> np.ndarray:
    """A unit vector at a cosine distance of 1 - cos(angle) from `axis`, towards the axis after it."""
    found = np.zeros(DIMENSIONS, np.float32)
    found[axis], found[axis + 1] = np.cos(angle), np.sin(angle)
    return found


def seen(*images: tuple[int, np.ndarray], details: int | list[int] = 0) -> Seen:
    """Images of given hash and embedding; equal numbers in `details` stand for pictures that agree in detail."""
    numbers = [details] * len(images) if isinstance(details, int) else details
    hashes = np.array([found[0] for found in images], np.uint64)
    embeddings = np.array([found[1] for found in images], np.float32).reshape(len(images), DIMENSIONS)
    drawn = [np.random.default_rng(number).integers(0, 256, (32, 32)) for number in numbers]
    return Seen(hashes, embeddings, np.array(drawn, np.uint8).reshape(len(images), 32, 32))


def real(count: int) -> tuple[Seen, list[dict[str, str]]]:
    """`count` training images of class leak, each with its own hash, neighbours at a distance of 1 - cos(0.5)."""
    images = [(NOWHERE ^ (0xFFF << 3 * place), vector(0.5 * place)) for place in range(count)]
    return seen(*images, details=list(range(1, count + 1))), [
        from_json(DatasetRecord, {"label": "leak", "group": str(place)}) for place in range(count)
    ]


TRAINING, RECORDS = real(10)
USUAL = 1 - np.cos(0.5)
NOBODY = seen()


def pool_of(*images: tuple[int, np.ndarray], **other: object) -> Pool:
    count = len(images)
    defaults = {
        "spreads": np.full(count, 50.0), "changes": np.full(count, np.nan), "origins": np.full(count, -1),
        "ranks": np.zeros(count, int), "alternatives": ["leak"] * count, "labels": ["leak"] * count,
        "methods": ["text2img"] * count, "places": [None] * count,
        "mirrored": np.array([~np.uint64(h) for h, _ in images], np.uint64),
    }  # fmt: skip
    return Pool(seen=seen(*images), **{**defaults, **other})


def reasons(pool: Pool, held_out: Seen = NOBODY, section: CurateSettings = SECTION) -> list[list[str]]:
    settings = Settings(data=DataSettings(faults=("leak",)), curate=section)
    measure = Measure.of(section, TRAINING, [record.group for record in RECORDS], noise=1.0)
    return curate.reject_reasons(pool, TRAINING, held_out, RECORDS, settings, measure)[0]


def beside(place: int, axis: int) -> np.ndarray:
    """Near enough to training image `place` to be believed, too far for a copy; each axis leads another way."""
    found = np.cos(0.45) * vector(0.5 * place)
    found[axis] = np.sin(0.45)
    return found


ONE, TWO, THREE = (FAR, beside(1, 3)), (1, beside(4, 4)), (2**40, beside(7, 5))


def test_a_picture_like_others_but_like_none_is_kept():
    assert reasons(pool_of(ONE)) == [[]]


def test_blank_is_judged_by_brightness_and_bright_blanks_are_blank_too():
    pool = pool_of(ONE, TWO, spreads=np.array([3.9, 4.0]))
    assert reasons(pool) == [[curate.BLANK], []]


def test_of_two_that_show_the_same_the_first_stays_and_methods_do_not_rob_each_other():
    pictures = [ONE, (FAR ^ 0b1, ONE[1])]
    assert reasons(pool_of(*pictures)) == [[], [curate.DUPLICATE]]
    assert reasons(pool_of(*pictures, methods=["text2img", "codec"])) == [[], []]
    assert reasons(pool_of(*pictures, labels=["leak", "tank"])) == [[], []]


def test_two_faults_in_one_host_are_the_same_only_in_one_place():
    pictures = [ONE, ONE, ONE]
    places = [[10, 10, 8, 8], [30, 10, 8, 8], [12, 10, 8, 8]]
    assert reasons(pool_of(*pictures, places=places)) == [[], [], [curate.DUPLICATE]]
    assert reasons(pool_of(*pictures, places=[places[0], None, None])) == [[], [curate.DUPLICATE], [curate.DUPLICATE]]


def test_a_rejected_image_is_no_original():
    pool = pool_of(ONE, ONE, spreads=np.array([1.0, 50.0]))
    assert reasons(pool) == [[curate.BLANK], []]


@pytest.mark.parametrize("mirrored", [False, True])
def test_equal_layout_is_a_copy_only_where_the_detail_agrees(mirrored):
    own = int(TRAINING.hashes[4]) ^ 0b11
    place = beside(4, 4)
    pool = pool_of((own, place), (own, place), labels=["leak", "tank"])
    flipped = TRAINING.greys[4][:, ::-1]
    pool.seen.greys[0] = flipped if mirrored else TRAINING.greys[4]
    if mirrored:
        pool = replace(pool, seen=replace(pool.seen, hashes=np.array([FAR, FAR], np.uint64)))
        pool = replace(pool, mirrored=np.array([own, own], np.uint64))
    assert reasons(pool) == [[curate.COPY], []]


def test_where_real_images_share_detail_more_of_it_is_asked_for():
    groups = [str(place) for place in range(10)]
    common = np.random.default_rng(0).integers(0, 170, (32, 32), np.uint8)  # four fifths of what varies
    alike = replace(TRAINING, hashes=np.full(10, FAR, np.uint64), greys=TRAINING.greys // 3 + common)
    assert Measure.of(SECTION, TRAINING, groups, 1.0).threshold == pytest.approx(0.6)
    assert 0.75 < Measure.of(SECTION, alike, groups, 1.0).threshold < 0.95


def test_very_near_is_a_copy_whatever_the_hash_says():
    within, beyond = np.arccos(1 - 0.45 * USUAL), np.arccos(1 - 0.55 * USUAL)
    assert reasons(pool_of((FAR, vector(within)))) == [[curate.COPY]]
    assert reasons(pool_of((FAR, vector(-beyond)))) == [[]]


def test_held_out_images_have_their_own_limit():
    held_out = seen(ONE)
    assert reasons(pool_of((FAR ^ 0b111, beside(1, 3))), held_out) == [[curate.LOOKALIKE]]
    off = replace(SECTION, lookalike_bits=-1)
    assert reasons(pool_of((FAR ^ 0b111, beside(1, 3))), held_out, off) == [[]]


def test_a_picture_of_another_world_goes_and_so_does_noise():
    assert reasons(pool_of((FAR, vector(0.2, axis=8)))) == [[curate.OUT_OF_WORLD]]
    groups = [record.group for record in RECORDS]
    assert Measure.of(SECTION, TRAINING, groups, noise=1.0).ceiling == pytest.approx(1.2 * USUAL, abs=1e-6)
    assert Measure.of(SECTION, TRAINING, groups, noise=0.1).ceiling == pytest.approx(0.09)


def test_an_inserted_fault_may_be_near_its_host_but_must_be_seen():
    pictures = [(FAR, vector(0.5 * 3)), (1, vector(0.5 * 6))]
    pool = pool_of(*pictures, origins=np.array([3, 6]), changes=np.array([9.9, 10.0]))
    assert reasons(pool) == [[curate.NO_FAULT], []]


def test_a_fault_that_looks_sound_lacks_its_fault_and_other_confusions_are_a_wrong_class():
    pictures = [ONE, TWO, THREE]
    pool = pool_of(*pictures, ranks=np.array([1, 1, 0]), alternatives=["tank_ok", "leak", "leak"])
    assert reasons(pool) == [[curate.NO_FAULT], [curate.WRONG_CLASS], []]
    assert reasons(pool, section=replace(SECTION, top_k=2)) == [[], [], []]


def test_a_class_has_a_cap_and_a_share():
    pictures = [ONE, TWO, THREE]
    assert reasons(pool_of(*pictures), section=replace(SECTION, cap=2)) == [[], [], [curate.OVER_CAP]]
    few = replace(SECTION, share=0.1)  # ten real images and one generated are 9 %, two would be 17 %
    assert reasons(pool_of(*pictures), section=few) == [[], [curate.OVER_CAP], [curate.OVER_CAP]]


def test_usual_distances_are_those_to_other_groups_and_unknown_for_few():
    embeddings = np.array([vector(0.5 * (place // 2)) for place in range(20)])
    found = curate.usual_distances(embeddings, [str(place // 2) for place in range(20)])
    assert found == pytest.approx(np.full(20, USUAL), abs=1e-6)
    assert not len(curate.usual_distances(embeddings[:6], list("aabbcc")))


def test_the_largest_change_is_that_of_a_spot_and_sizes_must_agree():
    host = np.zeros((32, 32, 3), np.uint8)
    spot, speck = host.copy(), host.copy()
    spot[10:13, 10:13], speck[10, 10] = 90, 90
    assert curate.largest_change(spot, host) == pytest.approx(90)
    assert curate.largest_change(speck, host) == pytest.approx(10)
    with pytest.raises(InputError, match="has a host of 16 x 32"):
        curate.largest_change(host, host[:, :16])


def texture(seed: int) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8), (64, 64))


def test_the_stage_reads_pictures_counts_reasons_and_says_what_is_missing(tmp_path):
    folder = RunFolder(tmp_path)
    pictures = {"a1": texture(1), "a2": texture(1), "a3": np.full((64, 64, 3), 255, np.uint8), "b1": texture(4)}
    records = []
    for name, picture in pictures.items():
        path = f"synthetic/images/{name[0]}/{name}.png"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / path), picture)
        records.append(generated(name, path, None))
    records.append(generated("b2", None, "blanked by the filter"))
    source = tmp_path / "source"
    source.mkdir()
    real_records = []
    for number, split in enumerate(("train",) * 4 + ("val", "test")):
        cv2.imwrite(str(source / f"{number}.png"), texture(20 + number))
        real_records.append(
            {
                "id": f"r{number}",
                "path": f"{number}.png",
                "label": "ab"[number % 2],
                "split": split,
                "group": str(number),
                "width": 64,
                "height": 64,
                "phash": f"{FAR ^ (0xFFFF << number):016x}",
            }
        )
    settings = replace(PRESETS["mini"], data=DataSettings(source=str(source)))
    settings = replace(settings, curate=replace(settings.curate, top_k=0))
    embed(settings, folder, made(DATASET, None, real_records).records)
    parent = folder.write(made(DATASET, None, real_records))
    for stage in (CAPTIONS, PROMPTS, ADAPTER):
        parent = folder.write(made(stage, parent.digest))
    summary = {"wanted": {"text2img": {"a": 3, "b": 2}}, "round": 1}
    folder.write(made(SYNTHETIC, parent.digest, records, summary=summary))

    document = curate.run(settings, folder)

    kept = {record.id: record.kept for record in document.records}
    assert kept == {"a1": True, "a2": False, "a3": False, "b1": True, "b2": False}
    assert document.summary.missing == {"a": 2, "b": 1}
    assert document.summary.rejected == {curate.BLANK: 1, curate.DUPLICATE: 1, "blanked by the filter": 1}
    assert set(document.summary.validation_recall) == {"a", "b"}
    sheets = {(sheet.label, sheet.kind): sheet.images for sheet in document.summary.sheets}
    assert sheets == {("a", "kept"): 1, ("a", "rejected"): 2, ("b", "kept"): 1}
    for sheet in document.summary.sheets:
        assert cv2.imread(str(tmp_path / sheet.path)).shape[1] == 8 * 96
    assert curate.run(settings, folder).version == 1

    # The real images are the same, so the curve of the first round is taken over as it stands.
    marked = replace(document.summary, learning_curve=replace(document.summary.learning_curve, macro_recall=[0.125]))
    folder.write(replace(document, summary=marked))
    folder.write(made(SYNTHETIC, parent.digest, records, summary, settings={"round": 2}))
    again = curate.run(settings, folder, PickledEngine())
    assert again.version == 3
    assert again.records == document.records
    assert again.summary.learning_curve.macro_recall == [0.125]


def test_a_healed_picture_is_beside_all_limits_but_must_have_lost_what_its_boxes_held(tmp_path):
    folder, source = RunFolder(tmp_path), tmp_path / "source"
    (tmp_path / "synthetic").mkdir()
    source.mkdir()
    picture = texture(1)
    cv2.imwrite(str(source / "f.png"), picture)
    one, both = picture.copy(), picture.copy()
    one[5:15, 5:15] = both[5:15, 5:15] = both[40:50, 40:50] = 0
    records = []
    for name, frame in (("one", one), ("both", both)):
        cv2.imwrite(str(tmp_path / "synthetic" / f"{name}.png"), frame)
        record = {"id": name, "label": "sound", "method": "heal", "path": f"synthetic/{name}.png", "blanked": None}
        records.append({**record, "source": "f", "host": "f", "boxes": [[5, 5, 10, 10], [40, 40, 10, 10]]})
    real = [
        {"id": name, "path": "f.png", "label": label, "split": split, "group": name, "width": 64, "height": 64}
        | {"phash": f"{FAR:016x}"}
        for name, label, split in (
            ("f", "hot", "train"),
            ("s", "sound", "train"),
            ("v", "hot", "val"),
            ("t", "hot", "test"),
        )
    ]
    settings = replace(PRESETS["mini"], data=DataSettings(source=str(source)))
    embed(settings, folder, made(DATASET, None, real).records)
    parent = folder.write(made(DATASET, None, real))
    for stage in (CAPTIONS, PROMPTS, ADAPTER):
        parent = folder.write(made(stage, parent.digest))
    folder.write(made(SYNTHETIC, parent.digest, records, summary={"wanted": {}, "round": 1}))

    document = curate.run(settings, folder)

    assert {record.id: record.reasons for record in document.records} == {"one": [curate.NOT_HEALED], "both": []}
    assert document.summary.missing == {}
    assert document.summary.kept_per_class == {"sound": 1}


def generated(name, path, blanked):
    return {
        "id": name,
        "label": name[0],
        "method": "text2img",
        "path": path,
        "blanked": blanked,
        "source": "r0",
        "host": None,
    }


def embed(settings, folder, records):
    """What the dataset stage leaves of images that no later stage but compare may open."""
    from augment.models.image_embedding import Fingerprints
    from augment.stages.dataset import _take_fingerprints

    _take_fingerprints(settings, Fingerprints(settings, folder, "cpu"), records)


def test_test_images_are_not_opened(tmp_path):
    settings = replace(PRESETS["mini"], data=DataSettings(source=str(tmp_path)))
    store = curate.Fingerprints(settings, RunFolder(tmp_path / "run"), "cpu")
    record = {"id": "t0", "path": "t0.png", "split": "test", "phash": "0" * 16, "width": 1, "height": 1}
    with pytest.raises(InputError, match="run `rarefault dataset` again"):
        curate._real(settings, store, made(DATASET, None, [record]).records)
