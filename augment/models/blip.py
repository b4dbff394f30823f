"""BLIP, which captions pictures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from transformers import BlipForConditionalGeneration, BlipProcessor

from augment.models.model_folders import SAFE_LOADING, half_precision, hush, in_halves
from edge_runtime.bundle.preprocess import Frame


class BlipCaptioner:
    """Captions by `BlipForConditionalGeneration`: conditioned on a text prefix, greedy."""

    def __init__(self, folder: Path, device: str, max_new_tokens: int, half: bool) -> None:
        hush("transformers")
        self._device, self._half = device, half
        self._max_new_tokens = max_new_tokens
        self._processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
        self.model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, **SAFE_LOADING)
        self.model.to(device).eval()

    def caption(self, frames: Sequence[Frame], prefix: str) -> list[str]:
        """Return captions that begin with `prefix`, one per (H, W, 3) uint8 BGR frame."""
        return in_halves(lambda part: self._captioned(part, prefix), frames)

    def _captioned(self, frames: Sequence[Frame], prefix: str) -> list[str]:
        images = [cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames]
        # A prefix that leaves no room for the caption is cut: the model has no place for more tokens.
        room = self.model.config.text_config.max_position_embeddings - self._max_new_tokens
        inputs = self._processor(
            images=images, text=[prefix] * len(images), truncation=True, max_length=room, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode(), half_precision(self._device, self._half):
            tokens = self.model.generate(**inputs, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1)
        return [text.strip() for text in self._processor.batch_decode(tokens, skip_special_tokens=True)]
