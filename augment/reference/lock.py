"""OUT/lock.json: which files the experiment began with, by SHA-256. What is another file later ends it.

A revision names a commit of a hub; that its files arrived whole and stay what they were is held here.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors

from augment.json_objects import write_json
from augment.models.model_folders import find_model
from augment.models.preflight import is_wanted
from augment.progress import say
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes, sha256_file

FILE = "lock.json"
SCHEMA = "rarefault/reference-lock"
Locked = Mapping[str, Mapping[str, object]]  # part of the experiment -> what it is, and `files`


def found(settings: Settings, pictures: Path, classes: int) -> dict[str, dict[str, object]]:
    """Return what the experiment uses, fetching what is not here yet: models, initial weights, pictures."""
    from export.network import build_network, load_initial_weights

    caption, refine, generate = settings.caption, settings.refine, settings.generate
    named = (
        ("blip", caption.model, caption.revision),
        ("gpt2", refine.model, refine.revision),
        ("stable-diffusion", generate.model, generate.revision),
    )
    parts: dict[str, dict[str, object]] = {}
    for kind, model, revision in named:
        say(f"model {model}: fetching what is not here yet, then digests")
        folder = find_model(model, kind, "", revision)
        read = {name: path for name, path in _below(folder.path).items() if is_wanted(name)}
        _require_whole(read)
        parts[kind] = {"name": folder.identity["name"], "revision": revision, "files": _digests(read)}
    network = build_network(settings.train.backbone, classes, settings.train.width)
    parts["classifier"] = dict(load_initial_weights(network, settings.train.weights))
    lines = "".join(f"{name} {digest}\n" for name, digest in _digests(_below(pictures)).items())
    parts["pictures"] = {"count": lines.count("\n"), "sha256": sha256_bytes(lines.encode())}
    return parts


def hold(path: Path, parts: Locked) -> None:
    """Record `parts` in the lock at `path`, or check them against it. Raises InputError where they differ."""
    if not path.exists():
        write_json(path, {"schema": SCHEMA, "parts": parts})
        return
    try:
        known = json.loads(path.read_bytes())["parts"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no lock of this experiment; choose another --out, or remove the file") from None
    for name, part in json.loads(json.dumps(parts)).items():
        if part != known.get(name):
            raise InputError(
                f"{name}: {_difference(known.get(name) or {}, part)}; the runs in {path.parent} were made with what "
                f"{path.name} names: bring that back, or begin anew with another --out"
            )


def _difference(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Say what of a part is another than it was."""
    files, others = before.get("files"), now.get("files")
    if isinstance(files, dict) and isinstance(others, dict) and files != others:
        changed = sorted(name for name in files | others if files.get(name) != others.get(name))
        return f"{', '.join(changed[:3])}{' and more' if len(changed) > 3 else ''} are not the files of the first start"
    keys = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    return ", ".join(f"{key} was {before.get(key)} and is {now.get(key)}" for key in keys)


def _below(folder: Path) -> dict[str, Path]:
    """Return the files below `folder` by their path from it, but for hidden ones."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: sha256_file(path) for name, path in files.items()}


def _require_whole(files: Mapping[str, Path]) -> None:
    """Raise InputError for weights of which only a part is there, as a copy that was cut off leaves them."""
    for path in files.values():
        try:
            if path.suffix == ".safetensors":
                with safetensors.safe_open(path, "np"):
                    pass
        except safetensors.SafetensorError as error:
            raise InputError(f"{path} is not whole ({error}); remove it and fetch or copy it again") from error
