"""The mini BLIP: reads a picture, writes or continues a caption."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from augment.mini.corpus import SIZE, as_pixels
from augment.mini.language import next_token_loss, scored_tokens
from augment.mini.scenes import LABELS
from augment.mini.words import DECODE, blip_tokenizer
from augment.training.resumable import Loss

CLASS_WEIGHT = 0.4  # of the class head, which exists in training only


def new_captioner(width: int = 128) -> nn.ModuleDict:
    """Return an untrained `blip`, and `classes`, a head that teaches its vision tower the labels."""
    tokenizer = blip_tokenizer()
    ids = {
        "bos_token_id": tokenizer.convert_tokens_to_ids(DECODE),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    common = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": 4}
    quiet = {"attention_dropout": 0.0, "initializer_range": 0.02}  # the default range, 1e-10, starts a dead tower
    vision = {**common, **quiet, "num_hidden_layers": 4, "image_size": SIZE, "patch_size": 8}
    text = {
        **common, **ids, "num_hidden_layers": 2, "encoder_hidden_size": width, "projection_dim": width,
        "vocab_size": len(tokenizer), "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "label_smoothing": 0.0,
    }  # fmt: skip
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=width, image_text_hidden_size=width)
    return nn.ModuleDict({"blip": BlipForConditionalGeneration(config), "classes": nn.Linear(width, len(LABELS))})


def new_processor() -> BlipProcessor:
    """Return what resizes pictures to 64 x 64, scales them to -1..1 and tokenises captions."""
    half = (0.5, 0.5, 0.5)
    images = BlipImageProcessor(size={"height": SIZE, "width": SIZE}, image_mean=half, image_std=half)
    return BlipProcessor(images, blip_tokenizer())


def jittered(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Change colour gain, contrast and brightness at random: cameras differ more than the catalogue shows."""
    count = len(pixels)
    gain = torch.from_numpy(rng.uniform(0.75, 1.2, (count, 3, 1, 1)).astype(np.float32))
    lift = torch.from_numpy(rng.uniform(-0.2, 0.2, (count, 1, 1, 1)).astype(np.float32))
    return (pixels * gain + lift).clamp(-1, 1)


def captioner_loss(images: np.ndarray, labels: np.ndarray, captions: Sequence[str], batch: int) -> Loss[nn.ModuleDict]:
    """Return the loss: next-token cross entropy given the picture, plus that of the class head."""
    tokenizer = blip_tokenizer()
    start, stop = tokenizer.convert_tokens_to_ids(DECODE), tokenizer.sep_token_id
    truth = torch.from_numpy(labels)

    def loss(model: nn.ModuleDict, rng: np.random.Generator) -> Tensor:
        picks = rng.integers(len(images), size=batch)
        tokens, targets = scored_tokens([captions[index] for index in picks], tokenizer, [start], stop, rng)
        blip = cast(Any, model["blip"])
        patches, pooled = blip.vision_model(pixel_values=jittered(as_pixels(images[picks]), rng))[:2]
        mask = (tokens != tokenizer.pad_token_id).long()
        logits = blip.text_decoder(input_ids=tokens, encoder_hidden_states=patches, attention_mask=mask).logits
        classes = functional.cross_entropy(model["classes"](pooled), truth[torch.from_numpy(picks)])
        return next_token_loss(logits, targets) + CLASS_WEIGHT * classes

    return loss
