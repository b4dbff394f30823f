"""Checkpoints: a folder with `model.safetensors`, and `card.json`, which says what the weights are and their digest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file, sha256_bytes, sha256_file
from edge_runtime.bundle.heads import ClassHead, Head, head_from_json
from export.network import build_network
from export.spatial_network import HeadShape, SpatialNetwork

SCHEMA = "rarefault/model"
SCHEMA_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"
REQUIRED = ("backbone", "width", "labels", "fault_labels", "input")


def save_checkpoint(folder: Path, network: nn.Module, card: Mapping[str, Any]) -> str:
    """Write the network's weights and then its card into `folder` (made if absent); return the checkpoint's digest.

    `card` names at least backbone, width, labels, fault_labels and input; schema and the weights' size and SHA-256 are
    added. The card comes last: a folder whose writer was killed has no card or one that does not match, and will not
    load.
    The same weights and card give the same bytes.
    """
    missing = [name for name in REQUIRED if name not in card]
    if missing:
        raise InputError(f"the card of a checkpoint must name {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    weights = safetensors.torch.save({name: _plain(tensor) for name, tensor in network.state_dict().items()})
    entry = {"sha256": sha256_bytes(weights), "bytes": len(weights)}
    whole = {**card, "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "files": {WEIGHTS_FILE: entry}}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / WEIGHTS_FILE, weights)
    replace_file(folder / CARD_FILE, (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())
    return checkpoint_digest(folder)


def _plain(tensor: Tensor) -> Tensor:
    """Return the tensor on the CPU and in the standard memory order; safetensors refuses channels_last."""
    return tensor.detach().to("cpu").contiguous()


def load_checkpoint(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network (float32, on the CPU, in evaluation mode) and its card; a SpatialNetwork where it has a head.

    Raises InputError where a file is missing or damaged, the card is of another schema, or the weights do not fit it.
    """
    card = read_card(folder)
    state = _read_weights(folder / WEIGHTS_FILE, card)
    with torch.device(
        "meta"
    ):  # no memory, and no draw from the global generator, for weights that are replaced at once
        network = _build(card)
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{folder / WEIGHTS_FILE} does not fit its card ({reason}); train again") from error
    return network.eval(), card


def head_of(card: Mapping[str, Any]) -> Head:
    """Return the head that a card names; a card without one is of the time when there was the class head alone."""
    return head_from_json(card.get("head", {"kind": "class"}), tuple(card["labels"]))


def _build(card: Mapping[str, Any]) -> nn.Module:
    backbone, head = build_network(card["backbone"], len(card["labels"]), card["width"]), head_of(card)
    if isinstance(head, ClassHead):
        return backbone
    shape = HeadShape.from_json(card["head"]["shape"])
    return SpatialNetwork(backbone, len(head.groups), len(head.kinds), head.pooling, shape)


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a checkpoint, checked for schema and required fields; the weights are not read."""
    path = folder / CARD_FILE
    if not path.is_file():
        raise InputError(f"{folder} holds no {CARD_FILE}: not a checkpoint, or its writer was stopped; train again")
    try:
        card = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); the checkpoint is damaged: copy it again") from error
    found = (card.get("schema"), card.get("schema_version")) if isinstance(card, dict) else (None, None)
    if found != (SCHEMA, SCHEMA_VERSION):
        raise InputError(f"{path} has schema {found[0]} version {found[1]}, expected {SCHEMA} version {SCHEMA_VERSION}")
    missing = [name for name in (*REQUIRED, "files") if name not in card]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; write it with save_checkpoint")
    return cast(dict[str, Any], card)


def checkpoint_digest(folder: Path) -> str:
    """Return the hex SHA-256 of the card, which in turn holds the weights' digest: it names the checkpoint."""
    return sha256_file(folder / CARD_FILE)


def _read_weights(path: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path} is missing; copy the whole checkpoint folder again")
    data = path.read_bytes()
    expected = card["files"][WEIGHTS_FILE]["sha256"]
    if sha256_bytes(data) != expected:
        raise InputError(
            f"{path} has SHA-256 {sha256_bytes(data)}, its card says {expected}: damaged, or saving was interrupted; "
            "copy it again or resume the training"
        )
    try:
        return cast(dict[str, Tensor], safetensors.torch.load(data))
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file ({error}); train again") from error
