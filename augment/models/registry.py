"""The pretrained models that a run's settings name, each loaded when it is first asked for."""

from collections.abc import Mapping
from functools import cached_property

from augment.models.interfaces import Captioner, Embedder, Painter, Renderer, TextSimilarity, TokenBudget, Writer
from augment.models.model_folders import ModelFolder, find_model, pick_device
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError

FOLDERS = ("captioner_folder", "writer_folder", "painter_folder")


class Models:
    """Loads each model of `settings`, and the library that runs it, when it is first asked for, and not before.

    A pickled one loads anew, where it is unpickled, and from the same files: `expected` is what identifies them.
    """

    def __init__(
        self,
        settings: Settings,
        renderer: Renderer | None = None,
        expected: Mapping[str, Mapping[str, str]] | None = None,
        half: bool | None = None,
    ) -> None:
        self._settings = settings
        self._expected = expected or {}
        self._half = half
        self.renderer = renderer  # for the methods that draw instead of painting

    def __reduce__(self) -> tuple[type["Models"], tuple[object, ...]]:
        found = {name: vars(self)[name].identity for name in FOLDERS if name in vars(self)}
        return type(self), (self._settings, self.renderer, {**self._expected, **found}, self._half)

    def _same(self, name: str, found: ModelFolder) -> ModelFolder:
        """Return a folder of FOLDERS. Raises InputError where another process was told of another one."""
        expected = self._expected.get(name, found.identity)
        if expected != found.identity:
            raise InputError(
                f"{found.path} holds {found.identity}, the machine that gave the work has {dict(expected)}: "
                "put the same model files onto all machines"
            )
        return found

    @cached_property
    def device(self) -> str:
        """The device that the models run on, `cuda` or `cpu`."""
        return pick_device(self._settings.device)

    @property
    def half(self) -> bool:
        """Whether the models compute in FP16: on a GPU, unless it was said otherwise."""
        return self.device == "cuda" if self._half is None else self._half

    def release(self) -> None:
        """Give back the memory of the loaded models; each is loaded again when it is next asked for.

        A GPU of 8 GB does not hold BLIP, GPT-2 and Stable Diffusion beside each other.
        """
        loaded = [
            name for name in ("captioner", "writer", "text_similarity", "painter", "embedder") if name in vars(self)
        ]
        for name in loaded:
            delattr(self, name)
        if loaded and self.device == "cuda":
            import torch

            torch.cuda.empty_cache()

    @cached_property
    def captioner_folder(self) -> ModelFolder:
        """The files of the captioner."""
        section = self._settings.caption
        return self._same("captioner_folder", find_model(section.model, "blip", section.sha256, section.revision))

    @cached_property
    def writer_folder(self) -> ModelFolder:
        """The files of the writer."""
        section = self._settings.refine
        return self._same("writer_folder", find_model(section.model, "gpt2", section.sha256, section.revision))

    @cached_property
    def painter_folder(self) -> ModelFolder:
        """The files of the painter."""
        section = self._settings.generate
        found = find_model(section.model, "stable-diffusion", section.sha256, section.revision)
        return self._same("painter_folder", found)

    @cached_property
    def captioner(self) -> Captioner:
        """The model that describes pictures."""
        from augment.models.blip import BlipCaptioner

        limit = self._settings.caption.max_new_tokens
        return BlipCaptioner(self.captioner_folder.path, self.device, limit, self.half)

    @cached_property
    def writer(self) -> Writer:
        """The model that continues captions."""
        from augment.models.gpt2 import Gpt2Writer

        section = self._settings.refine
        return Gpt2Writer(
            self.writer_folder.path, self.device, section.max_new_tokens, section.temperature, section.top_p, self.half
        )

    @cached_property
    def text_similarity(self) -> TextSimilarity:
        """The rule that keeps a prompt near its caption."""
        from augment.models.text_similarity import load_text_similarity

        return load_text_similarity(self._settings.refine, self.device)

    @cached_property
    def painter(self) -> Painter:
        """The model that generates images."""
        from augment.models.stable_diffusion import DiffusionPainter

        return DiffusionPainter(self.painter_folder.path, self.device, self._settings, self.half)

    @cached_property
    def embedder(self) -> Embedder:
        """The model by whose vectors images are compared."""
        from augment.models.image_embedding import load_embedder

        return load_embedder(self._settings.data.embedding, self.device)

    @cached_property
    def token_budget(self) -> TokenBudget:
        """The length of prompts that the painter can hold."""
        from augment.models.stable_diffusion import ClipTokenBudget

        return ClipTokenBudget(self.painter_folder.path)
