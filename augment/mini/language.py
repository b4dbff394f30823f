"""The mini GPT-2: continues a caption clause by clause until the end token."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizer

from augment.mini.words import gpt2_tokenizer
from augment.training.resumable import Loss

IGNORED = -100  # label of a token that is not scored
STRANGER_SHARE = 0.3  # of the captions name a made-up thing, because users' labels are not ours
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def new_language(width: int = 128) -> GPT2LMHeadModel:
    """Return an untrained language model."""
    tokenizer = gpt2_tokenizer()
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=64,
            n_embd=width,
            n_layer=3,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )


def made_up(rng: np.random.Generator) -> str:
    """Return one to three random words."""
    return " ".join("".join(rng.choice(LETTERS, rng.integers(3, 9))) for _ in range(rng.integers(1, 4)))


def split_caption(caption: str, rng: np.random.Generator) -> tuple[str, str, bool]:
    """Split a caption into (class phrase with its lead, context, whether the class is made up, not worth scoring)."""
    head, comma, context = caption.partition(",")
    stranger = bool(rng.random() < STRANGER_SHARE)
    return (f"a photo of a {made_up(rng)}" if stranger else head), comma + context, stranger


def language_loss(captions: Sequence[str], batch: int) -> Loss[nn.Module]:
    """Return the loss: next-token cross entropy over whole captions; a made-up class phrase is read but not scored."""
    tokenizer = gpt2_tokenizer()

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        picked = [captions[index] for index in rng.integers(len(captions), size=batch)]
        tokens, targets = scored_tokens(picked, tokenizer, [], tokenizer.eos_token_id, rng)
        return next_token_loss(model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits, targets)

    return loss


def scored_tokens(
    captions: Sequence[str], tokenizer: PreTrainedTokenizer, start: list[int], stop: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the tokens of captions between `start` and `stop`, and the same as targets: both int64 (N, longest).

    Of a caption whose class phrase is made up, the targets leave `start` and the phrase out.
    """
    rows, scored = [], []
    for caption in captions:
        head, context, stranger = split_caption(caption, rng)
        lead = [*start, *tokenizer.encode(head, add_special_tokens=False)]
        rest = [*tokenizer.encode(context, add_special_tokens=False), stop]
        rows.append(lead + rest)
        scored.append(([IGNORED] * len(lead) if stranger else lead) + rest)
    return padded(rows, tokenizer.pad_token_id), padded(scored, IGNORED)


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of logits (N, T, words) against the next of the targets (N, T)."""
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED)


def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return rows of one length, int64 (N, longest), filled at the end."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *([fill] * (longest - len(row)))] for row in rows])
