"""Model folders: where a model's files lie, what identifies them, and the device that models run on.

A reference is a hub id, a local folder or `mini` (the checkpoints this package carries). Only safetensors are loaded,
and nothing reaches for the network unless the settings name a hub id.
"""

import errno
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from augment.progress import say
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import sha256_bytes, sha256_file

if TYPE_CHECKING:
    import torch  # at run time only where it is needed: who names a model must not wait for it

Item = TypeVar("Item")
Made = TypeVar("Made")
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

    asked = f"{reference}, revision {revision}," if revision else reference
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
            f"model {asked} is not on this machine and could not be downloaded ({type(error).__name__}); "
            f"{_what_to_do(error, reference)}"
        ) from error
    if not any(path.rglob("*.safetensors")):
        raise InputError(f"hub model {reference} holds no .safetensors file; {_HOW_TO_CONVERT}")
    return ModelFolder(path, {"name": reference, "revision": path.name})


def _what_to_do(error: Exception, reference: str) -> str:
    """Return the next step after a download that failed; what has arrived of it is kept and not fetched again."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    causes: list[BaseException] = []  # diffusers tells the last of them alone
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in causes):
        return "the disk is full: make room, or set HF_HOME to a folder on a larger disk, and run the same again"
    if any(isinstance(one, GatedRepoError) for one in causes):
        return f"its makers ask for consent: give it on the page of {reference} on the hub, then run `hf auth login`"
    if any(isinstance(one, RevisionNotFoundError) for one in causes):
        return "the hub does not hold that revision any more; name one that it holds, or give a local folder"
    if any(isinstance(one, RepositoryNotFoundError) for one in causes):
        return "the hub has no such model, or it asks for a login (`hf auth login`); check the spelling"
    return "connect to the hub, or give a local folder, or use the preset mini"


def in_halves(work: Callable[[Sequence[Item]], list[Made]], items: Sequence[Item]) -> list[Made]:
    """Return what `work` makes of `items`, in halves where the GPU's memory does not hold them at once.

    Raises what `work` raises where not even one item fits.
    """
    import torch

    try:
        return work(items)
    except RuntimeError as error:
        # Some libraries below torch report the same in words of their own (CUBLAS_STATUS_ALLOC_FAILED).
        too_much = isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)
        if not too_much or len(items) == 1:
            raise
    # Outside of the handler: the error holds the frames, and with them the tensors, of what did not fit.
    torch.cuda.empty_cache()
    half = len(items) // 2
    say(f"GPU memory does not hold {len(items)} pictures at once: {half} are tried; a smaller batch_size avoids this")
    return [made for part in (items[:half], items[half:]) for made in in_halves(work, part)]


def hush(library: str) -> None:
    """Turn off the loading bars and hints of a model library, which would bury the stages' own lines."""
    log = importlib.import_module(f"{library}.utils.logging")
    log.set_verbosity_error()
    log.disable_progress_bar()


def half_precision(device: str, half: bool) -> "torch.autocast":
    """Return the context in which a model of FP32 weights computes in FP16 if `half`, and as it is if not."""
    import torch

    return torch.autocast(device, torch.float16, enabled=half)
