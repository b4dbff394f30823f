"""Trains the mini checkpoints from nothing, on a CPU, resumable at any moment.

    python -m augment.mini.recipe --work DIR [--out augment/mini/checkpoints] [--minutes 100] [--stages A,B,...]

Stages: corpus, judge, diffusion, decoder, encoder, captioner, language, assemble, evaluate. `corpus` comes first and
`assemble`, `evaluate` last; the rest do not depend on each other, so two processes may share them over one DIR.
`assemble` takes what training states hold at that moment, so checkpoints can be had before training ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from torch import Tensor

from augment.mini import assemble as folders
from augment.mini.autoencoder import decoder_loss, decoder_part, encoder_loss, encoder_part, new_autoencoder
from augment.mini.captioner import captioner_loss, new_captioner
from augment.mini.card_figures import evaluate
from augment.mini.corpus import PatchCode, encode_all, labels_of, patch_code, rendered, scenes
from augment.mini.diffusion import diffusion_loss, new_diffusion
from augment.mini.language import language_loss, new_language
from augment.mini.render_classifier import classifier_loss, new_classifier
from augment.mini.scenes import Scene, describe
from augment.progress import say
from augment.training.resumable import Loss, Network, Say, Schedule, train

CHECKPOINTS = Path(__file__).parent / "checkpoints"

# stage -> (share of the minutes, items per second of one busy core, batch, learning rate)
_COSTS: Mapping[str, tuple[float, float, int, float]] = {
    "judge": (0.02, 500, 32, 1e-3),
    "diffusion": (0.60, 50, 32, 1e-3),
    "decoder": (0.17, 30, 16, 2e-3),
    "encoder": (0.04, 90, 16, 2e-3),
    "captioner": (0.14, 80, 32, 1e-3),
    "language": (0.03, 200, 32, 2e-3),
}


def schedules(minutes: float) -> dict[str, Schedule]:
    """Return a schedule per trained stage that fills about `minutes` of one CPU core; steps depend on nothing else."""
    return {
        stage: Schedule(steps=max(1, round(minutes * 60 * share * rate / batch)), batch=batch, rate=speed)
        for stage, (share, rate, batch, speed) in _COSTS.items()
    }


@dataclass(frozen=True)
class Recipe:
    """One training run: where it works, what it trains on, how long."""

    work: Path
    schedules: Mapping[str, Schedule]
    images: int = 36000  # training pictures
    seed: int = 20261122
    say: Say = say
    save_seconds: float = 120

    @property
    def states(self) -> Path:
        """The folder of the training states."""
        return self.work / "states"

    @cached_property
    def pictures(self) -> np.ndarray:
        """The training pictures, uint8 (N, 64, 64, 3) BGR."""
        return rendered(self.work / "corpus", "train", self.images, self.seed, self.say)

    @cached_property
    def scenes(self) -> list[Scene]:
        """The scenes of `pictures`."""
        return scenes("train", self.images, self.seed)

    @cached_property
    def captions(self) -> list[str]:
        """The captions of `pictures`."""
        return [describe(scene) for scene in self.scenes]

    @cached_property
    def code(self) -> PatchCode:
        """The linear code of the latents."""
        return patch_code(self.work / "corpus" / "code.safetensors", self.pictures)

    @cached_property
    def latents(self) -> Tensor:
        """The codes of `pictures`, float32 (N, 16, 8, 8)."""
        return encode_all(self.code, self.pictures)

    def fit(self, stage: str, model: Network, loss: Loss[Network]) -> None:
        """Train `model` as stage `stage`."""
        path = self.states / f"{stage}.safetensors"
        train(path, model, loss, self.schedules[stage], self.seed, self.say, self.save_seconds)

    def batch(self, stage: str) -> int:
        """Return the number of items per step of `stage`."""
        return self.schedules[stage].batch


def corpus_stage(recipe: Recipe) -> None:
    """Render the training pictures and fix the code."""
    recipe.say(f"corpus: {len(recipe.pictures)} pictures, code of {recipe.code.basis.shape[1]} components")


def classifier_stage(recipe: Recipe) -> None:
    """Train the render classifier, which only evaluation uses, on pictures of its own."""
    count = max(24, recipe.images // 3)
    images = rendered(recipe.work / "corpus", "judge", count, recipe.seed, recipe.say)
    labels = labels_of(scenes("judge", count, recipe.seed))
    recipe.fit("judge", new_classifier(), classifier_loss(images, labels, recipe.batch("judge")))


def diffusion_stage(recipe: Recipe) -> None:
    """Train text encoder and denoiser."""
    loss = diffusion_loss(recipe.latents, labels_of(recipe.scenes), recipe.scenes, recipe.batch("diffusion"))
    recipe.fit("diffusion", new_diffusion(), loss)


def decoder_stage(recipe: Recipe) -> None:
    """Train codes to pixels."""
    part = decoder_part(new_autoencoder())
    recipe.fit("decoder", part, decoder_loss(recipe.latents, recipe.pictures, recipe.batch("decoder")))


def encoder_stage(recipe: Recipe) -> None:
    """Train pixels to codes."""
    part = encoder_part(new_autoencoder())
    recipe.fit("encoder", part, encoder_loss(recipe.latents, recipe.pictures, recipe.batch("encoder")))


def captioner_stage(recipe: Recipe) -> None:
    """Train BLIP."""
    labels = labels_of(recipe.scenes)
    loss = captioner_loss(recipe.pictures, labels, recipe.captions, recipe.batch("captioner"))
    recipe.fit("captioner", new_captioner(), loss)


def language_stage(recipe: Recipe) -> None:
    """Train GPT-2."""
    recipe.fit("language", new_language(), language_loss(recipe.captions, recipe.batch("language")))


TRAINED: Mapping[str, Callable[[Recipe], None]] = {
    "corpus": corpus_stage,
    "judge": classifier_stage,
    "diffusion": diffusion_stage,
    "decoder": decoder_stage,
    "encoder": encoder_stage,
    "captioner": captioner_stage,
    "language": language_stage,
}
STAGES = (*TRAINED, "assemble", "evaluate")


def run(recipe: Recipe, out: Path, stages: tuple[str, ...] = STAGES) -> None:
    """Run `stages` in order; what is done already costs nothing."""
    for stage in stages:
        torch.manual_seed(recipe.seed)  # initial weights come from it: the one global state that a stage touches
        if stage == "assemble":
            folders.assemble(recipe.states, out)
        elif stage == "evaluate":
            evaluate(recipe.states, recipe.code, out, recipe.seed, recipe.say)
        else:
            TRAINED[stage](recipe)


def _parse_stages(context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    wanted = tuple(name.strip() for name in value.split(","))
    for name in wanted:
        if name not in STAGES:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(STAGES)}")
    return wanted


@click.command()
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Corpus and states.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=CHECKPOINTS, help="Checkpoints.")
@click.option("--minutes", type=click.FloatRange(min=0.01), default=100.0, help="About this much of one core.")
@click.option("--stages", default=",".join(STAGES), callback=_parse_stages, help="Comma-separated; default all.")
def main(work: Path, out: Path, minutes: float, stages: tuple[str, ...]) -> None:
    """Train the mini checkpoints."""
    torch.set_num_threads(1)  # two threads on shared cores spin against each other: measured three times slower
    cv2.setNumThreads(1)
    run(Recipe(work, schedules(minutes)), out, stages)


if __name__ == "__main__":
    main()
