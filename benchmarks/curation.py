"""Does curation find known bad images, for the right reason, and leave good ones alone?

    python -m benchmarks.curation [--out DIR] [--seeds 3] [--first 0]

A pool of rendered pictures stands in for a generator whose every label is known: 300 good ones (catalogue and station
cameras) and 100 bad ones. The archive is the demo's: 427 station pictures, 8 to 15 of each fault. Nothing is trained.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from augment.data.image_store import ImageStore
from augment.json_objects import from_json
from augment.mini.scenes import COUNTERPARTS, FAULT_LABELS, LABELS, STATION_COUNTS, render, sample_scene, write_station
from augment.presets import PRESETS
from augment.record_types import CurationRecord, DatasetRecord, GeneratedRecord, SyntheticSummary
from augment.records import (
    ADAPTER,
    CAPTIONS,
    PROMPTS,
    SYNTHETIC,
    Document,
    RunFolder,
    StageInputs,
    item_seed,
)
from augment.settings import DataSettings, Settings
from augment.stages import curate, dataset
from edge_runtime.bundle.preprocess import Frame

SIDE = 64  # pixels
GOOD_PER_CLASS = 25
EACH = 20  # bad images of each kind
KINDS = {
    "blank": curate.BLANK,
    "copy of a training image": curate.COPY,
    "test look-alike": curate.LOOKALIKE,
    "another class": curate.WRONG_CLASS,
    "fault missing": curate.NO_FAULT,
}


Facts = dict[str, str]  # what a generated image's record says
Found = tuple[str, CurationRecord]


def main() -> None:
    """Print what was rejected of each kind, for which reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/curation"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    for seed in range(given.first, given.first + given.seeds):
        found = measure(given.out / str(seed), seed)
        print(f"seed {seed}", *(f"  {line}" for line in _lines(found)), sep="\n", flush=True)


def measure(path: Path, seed: int) -> list[Found]:
    """Curate one seeded pool; return what it found, each with its kind: good, or one of `KINDS`."""
    write_station(path / "images", dict(STATION_COUNTS), seed=item_seed(seed, "curation", "archive"), size=128)
    data = DataSettings(source=str((path / "images").resolve()), faults=FAULT_LABELS).unrelated()
    preset = PRESETS["mini"]
    settings = replace(preset, seed=seed, data=data, generate=replace(preset.generate, hosts=dict(COUNTERPARTS)))
    folder = RunFolder(path / "run")
    real = dataset.run(settings, folder)
    parent = real.digest
    for stage in (CAPTIONS, PROMPTS, ADAPTER):
        inputs = StageInputs(parent, {"pool": seed})
        parent = folder.write(Document(stage, inputs, [], from_json(stage.summary, {}))).digest
    kinds, records = {}, []
    for number, (kind, record, picture) in enumerate(_pictures(settings, real.records, seed)):
        made = {"host": None, "source": None, "method": "text2img", **record, "id": f"{number:04d}", "blanked": None}
        made["path"] = f"synthetic/images/{made['id']}.png"
        (folder.path / made["path"]).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder.path / made["path"]), picture)
        records.append(from_json(GeneratedRecord, made))
        kinds[made["id"]] = kind
    folder.write(Document(SYNTHETIC, StageInputs(parent), records, SyntheticSummary(round=1, wanted={})))
    return [(kinds[record.id], record) for record in curate.run(settings, folder).records]


def _pictures(settings: Settings, real: Sequence[DatasetRecord], seed: int) -> Iterator[tuple[str, Facts, Frame]]:
    """Yield (kind, what the record says, pixels) in a seeded order."""
    rng = np.random.default_rng(item_seed(seed, "curation", "pool"))
    store = ImageStore(settings)
    healthy_of = dict(COUNTERPARTS)

    def rendered(label: str) -> Frame:
        return render(sample_scene(int(rng.integers(2**62)), str(rng.choice(["catalogue", "station"])), label), SIDE)

    def disguised(split: str) -> tuple[Facts, Frame]:
        records = [record for record in real if record.split == split]
        record = records[rng.integers(len(records))]
        change = DISGUISES[rng.integers(len(DISGUISES))]
        return {"label": record.label}, change(cv2.resize(store.frame(record), (SIDE, SIDE), interpolation=3), rng)

    def other_than(label: str) -> str:
        near = {label, healthy_of.get(label), *(fault for fault, healthy in COUNTERPARTS.items() if healthy == label)}
        return str(rng.choice([other for other in LABELS if other not in near]))

    found = [("good", {"label": label}, rendered(label)) for label in LABELS for _ in range(GOOD_PER_CLASS)]
    found += [("blank", {"label": str(rng.choice(LABELS))}, _blank(rng)) for _ in range(EACH)]
    found += [("copy of a training image", *disguised("train")) for _ in range(EACH)]
    found += [("test look-alike", *disguised("test")) for _ in range(EACH)]
    for _ in range(EACH):
        label = str(rng.choice(LABELS))
        found.append(("another class", {"label": label}, rendered(other_than(label))))
    for place in range(EACH):
        label = str(rng.choice(FAULT_LABELS))
        if place % 2:
            found.append(("fault missing", {"label": label}, rendered(healthy_of[label])))
            continue
        hosts = [record for record in real if record.split == "train" and record.label == healthy_of[label]]
        host = hosts[rng.integers(len(hosts))]
        record = {"label": label, "method": "transplant", "host": host.id}
        found.append(("fault missing", record, _faint(store.frame(host), rng)))
    for at in rng.permutation(len(found)):
        yield found[at]


def _blank(rng: np.random.Generator) -> Frame:
    """Black, grey or white, as a failed or censored generation gives it."""
    level = int(rng.choice([0, 128, 255]))
    return np.clip(level + rng.normal(0, 1, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def _faint(host: Frame, rng: np.random.Generator) -> Frame:
    """The host with a spot that nobody sees."""
    made = host.astype(np.int16)
    y, x = (int(rng.integers(side - 16)) for side in host.shape[:2])
    made[y : y + 16, x : x + 16] += 5
    return np.clip(made, 0, 255).astype(np.uint8)


def _compressed(frame: Frame, _rng: np.random.Generator) -> Frame:
    return cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


def _brighter(frame: Frame, _rng: np.random.Generator) -> Frame:
    return np.clip(frame * 1.15, 0, 255).astype(np.uint8)


def _mirrored(frame: Frame, _rng: np.random.Generator) -> Frame:
    return np.ascontiguousarray(frame[:, ::-1])


def _noisy(frame: Frame, rng: np.random.Generator) -> Frame:
    return np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8)


DISGUISES: tuple[Callable[[Frame, np.random.Generator], Frame], ...] = (_compressed, _brighter, _mirrored, _noisy)


def _lines(records: list[Found]) -> Iterator[str]:
    good = [record for kind, record in records if kind == "good"]
    lost = Counter(record.reasons[0] for record in good if not record.kept)
    share = 100 * sum(lost.values()) / len(good)
    yield f"good: {sum(lost.values())} of {len(good)} lost ({share:.1f} %): {dict(lost)}"
    right = 0
    for kind, reason in KINDS.items():
        own = [record for other, record in records if other == kind]
        named = sum(reason in record.reasons for record in own)
        right += named
        others = Counter(tuple(record.reasons) for record in own if reason not in record.reasons)
        rejected = sum(not record.kept for record in own)
        yield f"{kind}: {rejected} of {len(own)} rejected, {named} for that reason" + (
            f"; {dict(others)}" if others else ""
        )
    bad = [record for kind, record in records if kind != "good"]
    yield f"bad: {sum(not record.kept for record in bad)} of {len(bad)} rejected, {right} for the right reason"


if __name__ == "__main__":
    main()
