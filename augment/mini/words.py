"""The three small tokenizers, learnt from the caption grammar, each able to spell any text.

CLIP and GPT-2 fall back to bytes; BLIP's WordPiece falls back to characters, and to [UNK] outside Latin-1.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer, CLIPTokenizer, GPT2Tokenizer

from augment.mini.scenes import describe, phrase, sample_scene

CLIP_LENGTH = 32  # tokens; the longest caption of the grammar fits
END = "<|endoftext|>"
START = "<|startoftext|>"
DECODE = "[DEC]"  # BLIP's decoder starts with it
BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", DECODE)


@lru_cache
def grammar() -> tuple[str, ...]:
    """Return captions enough to hold every clause of the grammar many times."""
    return tuple(describe(sample_scene(seed, "catalogue")) for seed in range(4000))


def _learn_merges(texts: Sequence[str], size: int, suffix: str, split: pre_tokenizers.PreTokenizer) -> list[list[str]]:
    bpe = Tokenizer(models.BPE(end_of_word_suffix=suffix))
    bpe.pre_tokenizer = split
    trainer = trainers.BpeTrainer(
        vocab_size=size, end_of_word_suffix=suffix, initial_alphabet=_bytes(), show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    merges: list[list[str]] = json.loads(bpe.to_str())["model"]["merges"]
    return merges


def _bytes() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _number(pieces: Sequence[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


@lru_cache
def clip_tokenizer() -> CLIPTokenizer:
    """Return lower-case byte BPE with word ends, as CLIP has it; ids 0 and 1 are start and end."""
    split = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    merges = _learn_merges(grammar(), 900, "</w>", split)
    pieces = [START, END, *_bytes(), *(f"{byte}</w>" for byte in _bytes()), *("".join(pair) for pair in merges)]
    return CLIPTokenizer(_number(pieces), [tuple(pair) for pair in merges], model_max_length=CLIP_LENGTH)


@lru_cache
def gpt2_tokenizer() -> GPT2Tokenizer:
    """Return byte BPE with spaces kept inside tokens, as GPT-2 has it."""
    merges = _learn_merges(grammar(), 600, "", pre_tokenizers.ByteLevel(add_prefix_space=False))
    pieces = [END, *_bytes(), *("".join(pair) for pair in merges)]
    tokenizer = GPT2Tokenizer(_number(pieces), [tuple(pair) for pair in merges], model_max_length=64)
    tokenizer.pad_token = END
    return tokenizer


@lru_cache
def blip_tokenizer() -> BertTokenizer:
    """Return a tokenizer of the grammar's whole words, then every printable Latin-1 character alone and in a word."""
    words = sorted({word for text in grammar() for word in text.replace(",", " ").split()})
    characters = [chr(code) for code in (*range(33, 127), *range(161, 256))]
    pieces = [*BERT_SPECIALS, *characters, *(f"##{character}" for character in characters), *words]
    return BertTokenizer(_number(pieces), additional_special_tokens=[DECODE], model_max_length=64)


def short_prompt(label: str) -> str:
    """Return the caption that names the class and nothing else; also the prefix the captioner is given."""
    return f"a photo of a {phrase(label)}"
