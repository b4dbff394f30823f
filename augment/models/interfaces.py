"""What the stages ask of a pretrained model; the real ones stand beside this file, tests bring others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from augment.arrays import Numbers, Vectors
from augment.methods import Method
from edge_runtime.bundle.preprocess import Frame


class Captioner(Protocol):
    """A model that describes pictures."""

    def caption(self, frames: Sequence[Frame], prefix: str) -> list[str]:
        """Return captions that begin with `prefix`, one per (H, W, 3) uint8 BGR frame."""


class Writer(Protocol):
    """A model that continues a text."""

    def continuations(self, prefix: str, count: int, seed: int) -> list[str]:
        """Return `count` sampled texts that follow `prefix`; the same seed gives the same texts."""


class TextSimilarity(Protocol):
    """A rule that says how alike texts are in meaning."""

    identity: dict[str, str]  # name, and sha256 or revision of a model, for documents
    nearness: float  # a prompt less like its caption than this has left its meaning
    sameness: float  # two prompts more alike than this say the same

    def likeness(self, texts: Sequence[str]) -> Numbers:
        """Return how alike each two of N `texts` are, (N, N); 1 is equal, 0 unrelated."""


@dataclass(frozen=True)
class Order:
    """One image to paint."""

    prompt: str
    seed: int
    source: Frame | None = None  # (side, side, 3) uint8 BGR, for methods that start from a real image
    mask: npt.NDArray[np.bool_] | None = None  # (side, side), for inpainting: what is painted anew


class Painter(Protocol):
    """A model that paints images."""

    side: int  # pixels of a generated image's side

    def paint(self, orders: Sequence[Order], method: Method, adapter: Path | None) -> list[Frame | None]:
        """Return one (side, side, 3) uint8 BGR image per order; None where the model's safety filter blanked it.

        `adapter` is the folder of a LoRA to paint with; None paints with the plain model.
        """


class Renderer(Protocol):
    """A function that draws an image instead of painting it."""

    def __call__(self, seed: int, domain: str, label: str, side: int) -> Frame:
        """Return a drawn image of `label`, uint8 (side, side, 3) BGR; `domain` is catalogue or station."""


class TokenBudget(Protocol):
    """The length of text that the painter's text encoder can hold."""

    limit: int  # tokens, begin and end marks included

    def tokens(self, text: str) -> int:
        """Return how many tokens `text` takes, begin and end marks included."""


class Embedder(Protocol):
    """A model that turns images into vectors: alike images lie near each other."""

    identity: dict[str, str]  # name, and sha256 or revision, for documents

    def embed(self, frames: Sequence[Frame]) -> Vectors:
        """Return vectors of unit length, (N, D), of uint8 (H, W, 3) BGR frames of any size."""
