"""GPT-2, which continues captions."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from augment.models.model_folders import SAFE_LOADING, half_precision, hush


class Gpt2Writer:
    """Continuations of a text by `GPT2LMHeadModel`: nucleus sampling."""

    def __init__(
        self, folder: Path, device: str, max_new_tokens: int, temperature: float, top_p: float, half: bool
    ) -> None:
        hush("transformers")
        self._device, self._half = device, half
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, **SAFE_LOADING)
        self.model.to(device).eval()
        self._sampling = {
            "max_new_tokens": max_new_tokens,
            "do_sample": True,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": 0,
            "pad_token_id": self._tokenizer.eos_token_id,
        }

    def continuations(self, prefix: str, count: int, seed: int) -> list[str]:
        """Return `count` sampled texts that follow `prefix`; the same seed gives the same texts."""
        # A text that leaves no room for its continuation is cut: the model has no place for more tokens.
        room = self.model.config.n_positions - int(self._sampling["max_new_tokens"])
        inputs = self._tokenizer(prefix, truncation=True, max_length=room, return_tensors="pt").to(self._device)
        inputs.pop("token_type_ids", None)
        torch.manual_seed(seed)  # generate() takes no generator of its own
        with torch.inference_mode(), half_precision(self._device, self._half):
            tokens = self.model.generate(**inputs, num_return_sequences=count, **self._sampling)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = self._tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts
