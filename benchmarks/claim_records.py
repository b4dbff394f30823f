"""What the bookkeeping of 1,000, 10,000 and 100,000 made-up records costs: time, memory, and how they grow.

Each part runs in a process of its own, `python -m benchmarks.claim_records PART COUNT FOLDER`, which prints its
figures. Pictures, embeddings and answers are drawn; what models would take is left out.
"""

import base64
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from augment import record_types as types
from augment.json_objects import as_plain, from_json
from augment.presets import PRESETS
from augment.records import CAPTIONS, COMPARISON, CURATION, DATASET, Document, RunFolder, StageInputs
from benchmarks.claims import Claim, Note, Part, Spread, Table, at_most

SIZES = (1_000, 10_000, 100_000)
CLASSES = 10
SECONDS, GIGABYTES, GROWTH = 120, 2.0, 1.2
LABELS = tuple(f"class_{number}" for number in range(CLASSES))


@dataclass
class Figures:
    """Wall and processor seconds of what is measured; making the records is not."""

    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Measure what the block does."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu


def _drawn(count: int) -> tuple[np.random.Generator, list[str], list[str]]:
    """Return a generator, ids and labels of so many pictures."""
    return (
        np.random.default_rng(count),
        [f"{number * 2654435761 % 2**64:016x}" for number in range(count)],
        [LABELS[number % CLASSES] for number in range(count)],
    )


def _records(count: int, side: Callable[[int], str]) -> list[types.DatasetRecord]:
    rng, ids, labels = _drawn(count)
    hashes = rng.integers(0, 2**63, count)
    return [
        types.DatasetRecord(
            id=ids[at],
            path=f"{labels[at]}/unit{at % 997}_{at:06d}.jpg",
            sha256=ids[at] * 4,
            width=640,
            height=480,
            label=labels[at],
            split=side(at),
            group=ids[at - at % 2],
            origin="folders",
            phash=f"{int(hashes[at]):016x}",
            notes=(),
        )
        for at in range(count)
    ]


def dataset(count: int, place: Path, figures: Figures) -> None:
    """Sort read files out, keep the split, write the document and check its lineage; files are neither listed nor read.

    One in 50 pictures is another saved anew. Copies are looked for by names and thumbnails, not by local features.
    """
    from augment.data.layouts.listing import Candidate, Source
    from augment.stages import dataset as stage

    rng, ids, labels = _drawn(count)
    hashes = rng.integers(0, 2**63, count).astype(np.uint64)
    thumbnails = rng.integers(0, 256, (min(count, 2000), 32, 32, 3), np.uint8)
    again = np.arange(50, count, 50)
    hashes[again] = hashes[again - 1] ^ np.uint64(5)
    of = np.arange(count) % len(thumbnails)
    of[again] = of[again - 1]
    paths = [f"{labels[at]}/unit{at % 997}_{at:06d}.jpg" for at in range(count)]
    settings = replace(PRESETS["mini"], data=replace(PRESETS["mini"].data, source="drawn", copies="names"))
    folder = RunFolder(place)
    journal = folder.journal(DATASET, types.FileFacts, "records")
    for start in range(0, count, 1000):
        journal.add(
            types.FileFacts(
                id=paths[at],
                sha256=ids[at] * 4,
                width=640,
                height=480,
                phash=f"{int(hashes[at]):016x}",
                thumbnail=base64.b64encode(thumbnails[of[at]].tobytes()).decode(),
                traits={"bytes": float(rng.random()), "pixels": 307200.0, "format": "JPEG", "quality": 90.0},
            )
            for at in range(start, min(start + 1000, count))
        )
    candidates = tuple(Candidate(paths[at], labels[at]) for at in range(count))
    source = Source(root=Path("drawn"), layout="folders", candidates=candidates)
    with figures.clock():
        facts = folder.journal(DATASET, types.FileFacts, "records").read()
        records, summary, _ = stage._sort_out(settings, source, [facts[path] for path in paths], {})
        folder.write(Document(DATASET, StageInputs("", {}, {}), records, summary))
        folder.require(DATASET)


def prompts(count: int, place: Path, figures: Figures) -> None:
    """Refine every caption with a writer that costs nothing: contexts, rules, choice, journal and document."""
    from augment.models.text_similarity import WordOverlap
    from augment.stages import refine

    class Writer:
        def continuations(self, beginning: str, wanted: int, seed: int) -> list[str]:
            return [f"seen from the {seed % 89 + turn}th post on a clear day" for turn in range(wanted)]

    budget = SimpleNamespace(tokens=lambda text: len(text.split()), limit=77)
    empty = SimpleNamespace(identity={"name": "drawn"})
    models = SimpleNamespace(
        writer=Writer(), token_budget=budget, text_similarity=WordOverlap(), writer_folder=empty, painter_folder=empty
    )
    settings = replace(PRESETS["mini"], refine=replace(PRESETS["mini"].refine, contexts="all"))
    folder, records = RunFolder(place), _records(count, lambda at: "train")
    written = folder.write(Document(DATASET, StageInputs("", {}, {}), records, from_json(types.DatasetSummary, {})))
    captions = [
        types.CaptionRecord(
            id=record.id,
            label=record.label,
            prefix=f"a photo of {settings.phrase(record.label)}",
            caption=f"a photo of {settings.phrase(record.label)}, beside fence {at % 71}",
        )
        for at, record in enumerate(records)
    ]
    folder.write(Document(CAPTIONS, StageInputs(written.digest, {}, {}), captions, types.NoSummary()))
    with figures.clock():
        refine.run(settings, folder, cast(Any, models))


def curation(count: int, place: Path, figures: Figures) -> None:
    """Judge as many generated images as there are real ones, `count` in all, by hashes, embeddings and classifiers."""
    from augment.evaluation.label_check import agreement
    from augment.stages import curate

    half = count // 2
    sides = ["test" if at % 20 < 3 else "val" if at % 20 < 6 else "train" for at in range(half)]
    records = _records(half, lambda at: sides[at])
    rng, ids, labels = _drawn(half)
    centres = rng.standard_normal((CLASSES, 1280)).astype(np.float32)

    def seen(rows: Sequence[int]) -> curate.Seen:
        embeddings = np.empty((len(rows), 1280), np.float16)
        for start in range(0, len(rows), 1000):  # what only drawing needs is no memory of curation
            own = centres[np.array(rows[start : start + 1000]) % CLASSES]
            own = own + rng.standard_normal(own.shape, np.float32)
            embeddings[start : start + 1000] = own / np.linalg.norm(own, axis=1, keepdims=True)
        hashes = rng.integers(0, 2**63, len(rows)).astype(np.uint64)
        return curate.Seen(hashes, embeddings, rng.integers(0, 256, (len(rows), 32, 32), np.uint8))

    real = {
        side: [record for at, record in enumerate(records) if sides[at] == side] for side in ("train", "val", "test")
    }
    shown = {side: seen([at for at in range(half) if sides[at] == side]) for side in real}
    painted = [
        from_json(types.GeneratedRecord, {"id": ids[at], "label": labels[at], "source": ids[at], "host": None})
        for at in range(half)
    ]
    settings, training = PRESETS["mini"], shown["train"]
    with figures.clock():
        own = seen(range(half))
        ranks, alternatives = agreement(0, real["train"], training.embeddings, painted, own.embeddings)
        pool = curate.Pool(
            own, ~own.hashes, np.full(half, 50.0), np.full(half, np.nan), np.full(half, -1), [None] * half, ranks,
            alternatives, labels, ["text2img"] * half,
        )  # fmt: skip
        groups = [record.group for record in real["train"]]
        measure = curate.Measure.of(settings.curate, training, groups, 1.0)
        held = curate._joined(shown["val"], shown["test"])
        reasons, scores = curate.reject_reasons(pool, training, held, real["train"], settings, measure)
        kept = np.array([not why for why in reasons])
        recall = curate._validation_recall(real, shown, pool, kept)
        curve = curate._learning_curve(settings, real["train"], training)
        judged = _judged(ids, labels, reasons, scores)
        found = {"kept": int(kept.sum()), "validation_recall": recall, "learning_curve": as_plain(curve)}
        summary = from_json(types.CurationSummary, found)
        RunFolder(place).write(Document(CURATION, StageInputs("", {}, {}), judged, summary))


def _judged(
    ids: Sequence[str], labels: Sequence[str], reasons: Sequence[list[str]], scores: Sequence[dict[str, float]]
) -> list[types.CurationRecord]:
    return [
        types.CurationRecord(
            id=ids[at], label=labels[at], method="text2img", path="p", kept=not why, reasons=why, scores=score
        )
        for at, (why, score) in enumerate(zip(reasons, scores, strict=True))
    ]


def comparison(count: int, place: Path, figures: Figures) -> None:
    """Compare two arms of three trainings on `count` test images in half as many groups, with 2,000 resamples."""
    from augment.evaluation.arm_comparison import Truth, by_argmax, summarise
    from augment.evaluation.floor import floor_of
    from augment.evaluation.mending import Judged
    from augment.stages import compare

    images = _records(count, lambda at: "test")
    rng = np.random.default_rng(0)
    targets = np.arange(count) % CLASSES
    trainings = [
        types.TrainedArm(id=f"{arm}/seed-{seed}", arm=arm, seed=seed)
        for arm in ("real", "combined")
        for seed in range(3)
    ]
    truth = Truth(LABELS, LABELS[:3], targets, [image.group for image in images])
    logits = {
        training.id: rng.standard_normal((count, CLASSES)) + 2.0 * np.eye(CLASSES)[targets] for training in trainings
    }
    features = rng.standard_normal((count, 1280), np.float32)
    features[np.arange(count), targets] += 4
    with figures.clock():
        answers = by_argmax(truth, trainings, logits)
        summary = summarise(PRESETS["mini"], trainings, truth, answers)
        summary = replace(summary, floor=floor_of(features, targets, features, targets, "drawn"))
        predicted = {name: found.argmax(axis=1) for name, found in logits.items()}
        chances = np.mean(answers["combined"].probabilities, axis=0)
        Judged(LABELS, [image.id for image in images], ["test"] * count, targets, chances).doubted()
        records = compare._records(images, LABELS, predicted)
        RunFolder(place).write(Document(COMPARISON, StageInputs("", {}, {}), records, summary))


PARTS = {"dataset": dataset, "prompts": prompts, "curation": curation, "comparison": comparison}


def measure(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Measure every part, or those that `options` name, at all sizes."""
    names = [name for name in options if name in PARTS] or list(PARTS)
    sizes = [int(size) for size in options if size.isdigit()] or SIZES
    claims: list[Part] = []
    rows = [["part", "records", "seconds", "processor seconds", "memory at most, GB"]]
    for name in names:
        found = {size: _child(name, size, work) for size in sizes}
        rows += [
            [name, f"{size:,}", f"{one['wall']:.1f}", f"{one['cpu']:.1f}", f"{one['memory']:.2f}"]
            for size, one in found.items()
        ]
        last = found[sizes[-1]]
        claims += [
            _claim(f"{name}-seconds", f"{name}, {sizes[-1]:,} records", last["wall"], "s", SECONDS),
            _claim(f"{name}-memory", f"{name}, {sizes[-1]:,} records, memory at most", last["memory"], "GB", GIGABYTES),
        ]
        if len(sizes) > 1:
            growth = math.log(last["cpu"] / found[sizes[-2]]["cpu"]) / math.log(sizes[-1] / sizes[-2])
            claims.append(_claim(f"{name}-growth", f"{name}, exponent of the last step", growth, "", GROWTH))
    return [*claims, Table(rows=rows), Note(text=__doc__ or "")]


def _claim(name: str, question: str, value: float, unit: str, target: float) -> Claim:
    return Claim(
        id=f"records-{name}",
        question=question,
        measured=Spread(median=round(value, 2)),
        unit=unit,
        target=at_most(target),
    )


def _child(name: str, count: int, work: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=work) as place:
        command = [sys.executable, "-m", "benchmarks.claim_records", name, str(count), place]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(name, count, found, flush=True)
    return found


def _run(name: str, count: int, place: Path) -> None:
    figures = Figures()
    PARTS[name](count, place, figures)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"wall": figures.wall, "cpu": figures.cpu, "memory": memory}))


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
