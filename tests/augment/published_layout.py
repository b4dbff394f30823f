"""Folders laid out as the published BLIP, GPT-2 and Stable Diffusion 2.1 are, with tiny random weights inside.

Every file name and configuration field is that of Salesforce/blip-image-captioning-base, gpt2 and
stabilityai/stable-diffusion-2-1, special token ids and vocabulary sizes included. Smaller are only widths, heads and
layer counts; vocabularies are bytes and filler, since the published ones cannot be carried.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import pre_tokenizers
from transformers import BlipConfig, BlipForConditionalGeneration, CLIPTextConfig, CLIPTextModel, GPT2Config
from transformers import GPT2LMHeadModel as Gpt2

START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
WIDTH = 64  # of the text encoder


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2))


def byte_pieces() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def filled(pieces: list[str], size: int) -> dict[str, int]:
    """`pieces`, then filler up to `size` entries."""
    filler = [f"filler{number}" for number in range(size - len(pieces))]
    return {piece: index for index, piece in enumerate([*pieces, *filler])}


def write_blip(folder: Path) -> Path:
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={
            **small, "vocab_size": 30524, "encoder_hidden_size": 32, "projection_dim": 32,
            "max_position_embeddings": 512, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "bos_token_id": 30522,
            "eos_token_id": 2, "sep_token_id": 102, "pad_token_id": 0, "is_decoder": True, "label_smoothing": 0.0,
        },
        vision_config={
            **small, "projection_dim": 32, "image_size": 384, "patch_size": 16, "hidden_act": "gelu",
            "layer_norm_eps": 1e-5, "initializer_range": 0.02,
        },
        projection_dim=32, image_text_hidden_size=32, logit_scale_init_value=2.6592,
    )  # fmt: skip
    BlipForConditionalGeneration(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)  # the published repository has none
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True, "image_mean": CLIP_MEAN,
            "image_processor_type": "BlipImageProcessor", "image_std": CLIP_STD, "processor_class": "BlipProcessor",
            "resample": 3, "rescale_factor": 0.00392156862745098, "size": {"height": 384, "width": 384},
            "size_divisor": 32,
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
    return folder


def write_gpt2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = GPT2Config(
        activation_function="gelu_new", attn_pdrop=0.1, bos_token_id=50256, embd_pdrop=0.1, eos_token_id=50256,
        initializer_range=0.02, layer_norm_epsilon=1e-5, n_ctx=1024, n_embd=32, n_head=2, n_layer=2, n_positions=1024,
        resid_pdrop=0.1, vocab_size=50257,
        task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}},
    )  # fmt: skip
    Gpt2(config).save_pretrained(folder)
    ends = {"bos_token_id": 50256, "eos_token_id": 50256}
    write_json(folder / "generation_config.json", {"_from_model_config": True, **ends})
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    write_json(folder / "vocab.json", {**filled(byte_pieces(), 50256), END: 50256})
    (folder / "merges.txt").write_text("#version: 0.2\n")
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
    CLIPTextModel(
        CLIPTextConfig(
            attention_dropout=0.0, bos_token_id=0, eos_token_id=2, hidden_act="gelu", hidden_size=WIDTH,
            initializer_factor=1.0, initializer_range=0.02, intermediate_size=4 * WIDTH, layer_norm_eps=1e-5,
            max_position_embeddings=77, num_attention_heads=4, num_hidden_layers=2, pad_token_id=1, projection_dim=32,
            vocab_size=49408,
        )
    ).save_pretrained(folder / "text_encoder")  # fmt: skip
    cross, plain = "CrossAttn{}Block2D", "{}Block2D"
    UNet2DConditionModel(
        act_fn="silu", attention_head_dim=[1, 2, 2, 2], block_out_channels=[32, 64, 64, 64], center_input_sample=False,
        cross_attention_dim=WIDTH, down_block_types=[*[cross.format("Down")] * 3, plain.format("Down")],
        downsample_padding=1, dual_cross_attention=False, flip_sin_to_cos=True, freq_shift=0, in_channels=4,
        layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-5, norm_num_groups=32, num_class_embeds=None,
        only_cross_attention=False, out_channels=4, sample_size=96,
        up_block_types=[plain.format("Up"), *[cross.format("Up")] * 3], upcast_attention=True,
        use_linear_projection=True,
    ).save_pretrained(folder / "unet")  # fmt: skip
    AutoencoderKL(
        act_fn="silu", block_out_channels=[32, 32, 32, 32], down_block_types=["DownEncoderBlock2D"] * 4, in_channels=3,
        latent_channels=4, layers_per_block=2, norm_num_groups=32, out_channels=3, sample_size=768,
        up_block_types=["UpDecoderBlock2D"] * 4,
    ).save_pretrained(folder / "vae")  # fmt: skip
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
