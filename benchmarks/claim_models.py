"""Stages over the bare pipelines: what caption, refine and generate cost beside a loop that a person would write.

Both sides load the same embedded checkpoints before the clock starts, work on the same pictures, beginnings and
prompts in the same batches, and write their results: a stage its journal and document (and each picture whole and on
disk), the bare loop a JSON file (and pictures by PIL, with no fsync). The bare loops call transformers and diffusers
themselves. They take turns; both wall and processor time are told.
"""

import json
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image
from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipProcessor, GPT2LMHeadModel

from augment.data.image_store import ImageStore
from augment.data.split import TRAIN
from augment.mini.archive import Share, write_archive
from augment.mini.scenes import FAULT_LABELS, LABELS
from augment.models.registry import Models
from augment.presets import PRESETS
from augment.records import DATASET, RunFolder
from augment.settings import DataSettings, Settings
from augment.stages import adapt, caption, dataset, generate, refine
from benchmarks.claims import Claim, Note, Part, Samples, at_most, interleave

MOST = 1.03
CLASSES, PICTURES = LABELS[:4], 16  # training pictures of each class: a full batch
PAINTED = 8  # of each class
THREADS = 1  # the embedded models are too small for more, and a stage that is run as a command takes one as well


def measure_caption(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """BLIP on files: the stage against processor and generate."""
    settings, base, models = _prepared(work)
    store, section = ImageStore(settings), settings.caption
    training = [record for record in base.require(DATASET).records if record.split == TRAIN]
    batches = [
        (
            settings.caption.prefix.format(phrase=settings.phrase(label)),
            [store.path(one) for one in own][at : at + size],
        )
        for label in CLASSES
        for own in [[record for record in training if record.label == label]]
        for size in [section.batch_size]
        for at in range(0, len(own), size)
    ]
    folder = models.captioner_folder.path
    processor = BlipProcessor.from_pretrained(folder)
    model = BlipForConditionalGeneration.from_pretrained(folder, use_safetensors=True).eval()

    def bare() -> None:
        captions = {}
        for prefix, paths in batches:
            images = [Image.open(path).convert("RGB") for path in paths]
            inputs = processor(images=images, text=[prefix] * len(images), return_tensors="pt")
            with torch.inference_mode():
                tokens = model.generate(**inputs, max_new_tokens=section.max_new_tokens, do_sample=False, num_beams=1)
            texts = processor.batch_decode(tokens, skip_special_tokens=True)
            captions |= dict(zip(map(str, paths), texts, strict=True))
        (work / "captions.json").write_text(json.dumps(captions))

    stage = partial(_stage, caption.run, settings, base, models, work)
    return _claims("caption", f"captioning {len(training)} pictures", stage, bare, int(options[0]) if options else 9)


def measure_refine(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """GPT-2: the stage, which also judges what is written, against generate on the same beginnings."""
    settings, base, models = _prepared(work, caption.run)
    section, folder = settings.refine, models.writer_folder.path
    models.__dict__["writer"] = asked = _Recorded(models.writer, "continuations")
    stage = partial(_stage, refine.run, settings, base, models, work)
    stage()
    beginnings = list(asked.calls)
    models.__dict__["writer"] = asked.model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder, use_safetensors=True).eval()
    sampling = {"do_sample": True, "temperature": section.temperature, "top_p": section.top_p, "top_k": 0}

    def bare() -> None:
        found = []
        for beginning, count, seed in beginnings:
            inputs = tokenizer(beginning, return_tensors="pt")
            torch.manual_seed(seed)
            with torch.inference_mode():
                tokens = model.generate(
                    input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, num_return_sequences=count,
                    max_new_tokens=section.max_new_tokens, pad_token_id=tokenizer.eos_token_id, **sampling,
                )  # fmt: skip
            found += tokenizer.batch_decode(tokens, skip_special_tokens=True)
        (work / "prompts.json").write_text(json.dumps(found))

    what = f"{len(beginnings)} calls of GPT-2 with {sum(call[1] for call in beginnings)} continuations"
    return _claims("refine", what, stage, bare, int(options[0]) if options else 9)


def measure_generate(work: Path, options: Sequence[str]) -> Sequence[Part]:
    """Stable Diffusion: the stage against the pipeline on the same prompts and seeds."""
    settings, base, models = _prepared(work, caption.run, refine.run, adapt.run)
    section = settings.generate
    models.__dict__["painter"] = asked = _Recorded(models.painter, "paint")
    stage = partial(_stage, generate.run, settings, base, models, work)
    stage()
    batches = [call[0] for call in asked.calls]
    models.__dict__["painter"] = asked.model
    pipeline = StableDiffusionPipeline.from_pretrained(models.painter_folder.path, use_safetensors=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++"
    )
    pipeline.set_progress_bar_config(disable=True)
    out = work / "painted"
    out.mkdir(exist_ok=True)

    def bare() -> None:
        for number, orders in enumerate(batches):
            images = pipeline(
                [order.prompt for order in orders], negative_prompt=[section.negative_prompt] * len(orders),
                generator=[torch.Generator().manual_seed(order.seed) for order in orders],
                num_inference_steps=section.steps, guidance_scale=section.guidance,
            ).images  # fmt: skip
            for place, image in enumerate(images):
                image.save(out / f"{number}-{place}.png")

    what = f"painting {sum(map(len, batches))} pictures of {pipeline.unet.config.sample_size * 8} pixels"
    return _claims("generate", what, stage, bare, int(options[0]) if options else 5)


class _Recorded:
    """A model that notes the arguments of every call of `method`, so that another can be asked the same."""

    def __init__(self, model: Any, method: str) -> None:
        self.model, self.calls = model, []
        setattr(self, method, partial(self._call, getattr(model, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def _call(self, method: Callable[..., Any], *given: Any) -> Any:
        self.calls.append(given)
        return method(*given)


def _prepared(work: Path, *before: Callable[..., Any]) -> tuple[Settings, RunFolder, Models]:
    """Return settings, a run in which the stages `before` the measured one are done, and models."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(THREADS)
    work.mkdir(parents=True, exist_ok=True)
    source, mini = work / "pictures", PRESETS["mini"]
    counts = {"train": PICTURES, "val": 4, "test": 4}
    write_archive(source, {side: Share(dict.fromkeys(CLASSES, n), n) for side, n in counts.items()})
    faults = tuple(label for label in CLASSES if label in FAULT_LABELS)
    data = DataSettings(source=str((source / "manifest.csv").resolve()), faults=faults).unrelated()
    settings = replace(
        mini,
        device="cpu",
        data=data,
        # One round, so that the bare loop can draw just as much.
        refine=replace(mini.refine, rounds=1),
        generate=replace(mini.generate, target=0, floor=PAINTED, cap=PAINTED),
    )
    base, models = RunFolder(work / "base"), Models(settings)
    dataset.run(settings, base)
    for stage in before:
        stage(settings, base, models)
    return settings, base, models


def _stage(run: Callable[..., Any], settings: Settings, base: RunFolder, models: Models, work: Path) -> None:
    """Run one stage on copies of the documents that it needs."""
    folder = work / "turn"
    shutil.rmtree(folder, ignore_errors=True)
    own = run.__module__.rpartition(".")[2]
    kept = {"caption": ("dataset",), "refine": ("dataset", "captions")}
    for name in kept.get(own, ("dataset", "captions", "prompts", "adapter")):
        shutil.copytree(base.path / name, folder / name)
    run(settings, RunFolder(folder), models)


def _claims(name: str, what: str, stage: Callable[[], None], bare: Callable[[], None], rounds: int) -> list[Part]:
    walls: dict[str, list[float]] = {"stage": [], "bare": []}

    def timed(task: str, work: Callable[[], None]) -> float:
        started, before = time.perf_counter(), time.process_time()
        work()
        walls[task].append(time.perf_counter() - started)
        return time.process_time() - before

    cores = interleave({"stage": partial(timed, "stage", stage), "bare": partial(timed, "bare", bare)}, rounds)
    wall = Samples({task: times[1:] for task, times in walls.items()})  # the first round does not count
    question = f"{what}: the stage over the bare loop"
    stage_s, bare_s = (cores.spread(task).median for task in ("stage", "bare"))
    note = (
        f"{THREADS} thread; a turn of the stage takes {stage_s:.2f} s of processor time, the bare loop {bare_s:.2f} s. "
        "Both write their results; that the stage copies the documents it needs counts, loading the models does not."
    )
    return [
        Claim(id=name, question=f"{question}, time", measured=wall.ratio("stage", "bare"), target=at_most(MOST)),
        Claim(
            id=f"{name}-processor", question=f"{question}, processor time", measured=cores.ratio("stage", "bare"),
            target=at_most(MOST),
        ),
        Note(text=note),
    ]  # fmt: skip
