"""Model folders: where a model's files lie, what identifies them, and the device that models run on.

A reference is a hub id, a local folder or `mini` (the checkpoints this package carries). Only safetensors are loaded,
and nothing reaches for the network unless the settings name a hub id.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import sha256_bytes, sha256_file

if TYPE_CHECKING:
    import torch  # at run time only where it is needed: who names a model must not wait for it

EMBEDDED = Path(__file__).parents[1] / "mini" / "checkpoints"
# How every weight is loaded: from the folder that was found and checked, and never as a pickle.
SAFE_LOADING = {"local_files_only": True, "use_safetensors": True}
# BLIP-base is published as a pickle alone.
_HOW_TO_CONVERT = (
    "pickled weights are never loaded here: where you trust them, load the model and its processor once with "
    "transformers, save_pretrained() both into a local folder, and name that folder"
)


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk and what identifies it in a document."""

    path: Path
    identity: dict[str, str]  # name, and sha256 (a folder's) or revision (a hub commit)


def pick_device(wanted: str) -> str:
    """Return `cpu` or `cuda`, where `wanted` is `auto`, `cpu` or `cuda`. Raises UnavailableError without CUDA."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("device is cuda, but torch finds no CUDA device here; set device to auto or cpu")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def find_model(reference: str, kind: str, sha256: str = "", revision: str = "") -> ModelFolder:
    """Return the folder of a model, downloaded if `reference` is a hub id, checked against the pin if there is one."""
    if reference == "mini":
        return local_model(EMBEDDED / kind, f"mini/{kind}", sha256)
    if Path(reference).is_dir():
        return local_model(Path(reference), Path(reference).name, sha256)
    return _pinned(_download(reference, kind, revision), sha256)


def folder_digest(folder: Path) -> str:
    """Return the hex SHA-256 over the names and digests of all files of a model folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    lines = [f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n" for path in paths]
    return sha256_bytes("".join(lines).encode())


def local_model(path: Path, name: str, sha256: str = "") -> ModelFolder:
    """Return the model folder at `path`, known as `name`. Raises InputError where it is not what `sha256` pins."""
    if not any(path.rglob("*.safetensors")):
        raise InputError(f"model folder {path} holds no .safetensors file; {_HOW_TO_CONVERT}")
    return _pinned(ModelFolder(path, {"name": name, "sha256": folder_digest(path)}), sha256)


def _pinned(found: ModelFolder, sha256: str) -> ModelFolder:
    seen = found.identity.get("sha256") or (folder_digest(found.path) if sha256 else "")
    if sha256 and seen != sha256:
        raise InputError(
            f"model {found.identity['name']} has the digest {seen}, the settings pin {sha256}: "
            "it is not the model that was approved; get that one, or change the pin on purpose"
        )
    return found


def _download(reference: str, kind: str, revision: str) -> ModelFolder:
    """Return a hub model as a local folder; already downloaded files are used without a network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        if kind == "stable-diffusion":
            from diffusers import DiffusionPipeline

            # Fetches just the files its model_index.json names; such repositories hold each weight several times.
            path = Path(DiffusionPipeline.download(reference, revision=revision or None, use_safetensors=True))
        else:
            # The last pattern is for the further modules of a sentence model.
            wanted = ["*.json", "*.txt", "model*.safetensors", "*/model*.safetensors"]
            path = Path(snapshot_download(reference, revision=revision or None, allow_patterns=wanted))
    except (HFValidationError, ValueError):
        raise InputError(f"model {reference!r} is neither a local folder nor a hub id; check the spelling") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UnavailableError(
            f"model {reference} is not on this machine and could not be downloaded ({type(error).__name__}); "
            "connect to the hub, or give a local folder, or use the preset mini"
        ) from error
    if not any(path.rglob("*.safetensors")):
        raise InputError(f"hub model {reference} holds no .safetensors file; {_HOW_TO_CONVERT}")
    return ModelFolder(path, {"name": reference, "revision": path.name})


def hush(library: str) -> None:
    """Turn off the loading bars and hints of a model library, which would bury the stages' own lines."""
    log = importlib.import_module(f"{library}.utils.logging")
    log.set_verbosity_error()
    log.disable_progress_bar()


def half_precision(device: str, half: bool) -> "torch.autocast":
    """Return the context in which a model of FP32 weights computes in FP16 if `half`, and as it is if not."""
    import torch

    return torch.autocast(device, torch.float16, enabled=half)
