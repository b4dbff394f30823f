"""Bundles on disk: verify every file before any of it is used, and write the manifest last."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from .errors import DamagedFileError, InputError
from .files import replace_file, sha256_bytes, sha256_file
from .manifest import FileEntry, Manifest, model_file

MANIFEST = "manifest.json"
MAX_MANIFEST = 4 << 20  # bytes
STATE_DIR = Path("/var/lib/rarefault")  # where a station keeps its state unless its settings say otherwise
CURRENT_SLOT = Path("slots") / "current"  # below the state folder: a link to the bundle that the station runs


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are whole: each was verified by `open_bundle`, or is before `path` gives it."""

    folder: Path
    manifest: Manifest
    digest: str  # hex SHA-256 of manifest.json, which in turn holds the digest of every file
    _undigested: set[str] = field(default_factory=set, compare=False, repr=False)

    def model_path(self, precision: str) -> Path:
        """The ONNX file of `precision`, whole; InputError lists the precisions that the bundle holds."""
        if precision not in self.manifest.precisions:
            held = ", ".join(self.manifest.precisions)
            raise InputError(f"{self.folder} holds no {precision} model, it holds {held}; choose one of these")
        return self.path(model_file(precision))

    def path(self, name: str) -> Path:
        """One of the files, by its name in the manifest, whole; InputError where its digest is another."""
        if name in self._undigested:
            _verify(self.folder, name, self.manifest.files[name], _check_digest)
            self._undigested.discard(name)
        return self.folder / name

    def identity(self) -> dict[str, str]:
        """Return name, version and digest, as events and results tell them under `model`."""
        return {"name": self.manifest.name, "version": self.manifest.version, "digest": self.digest}


def read_pointer(path: Path) -> str | None:
    """Return what the link at `path` points to, or what the file there says where the system refuses links.

    None where there is neither. A relative answer counts from the folder of `path`.
    """
    try:
        return str(path.readlink()) if path.is_symlink() else path.read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None


def open_bundle(folder: Path, whole: bool = True) -> Bundle:
    """Read and verify the bundle in `folder`; InputError is one sentence about the first thing that is wrong.

    Without `whole` an ONNX file must be there in its size, and is digested when `Bundle.path` gives it for the first
    time: a command that runs one of four precisions need not read all four.
    """
    try:
        data = _read_manifest(folder)
        manifest = _parse(folder, data)
    except OSError as error:
        raise _unreadable(folder, error) from error
    later = set() if whole else {name for name in manifest.files if name.endswith(".onnx")}
    for name, entry in manifest.files.items():
        _verify(folder, name, entry, _check_size)
        if name not in later:
            _verify(folder, name, entry, _check_digest)
    for precision in manifest.precisions:
        if model_file(precision) not in manifest.files:
            raise InputError(
                f"{folder / MANIFEST} promises {precision} but lists no {model_file(precision)}; pack it again"
            )
    return Bundle(folder, manifest, sha256_bytes(data), later)


def _unreadable(folder: Path, error: OSError) -> InputError:
    return InputError(f"the bundle {folder} cannot be read ({error}); check its permissions and the disk")


def write_bundle_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash every file in `folder` into `manifest.files`; `manifest.json` comes last, so its presence means whole.

    Hidden files (spares of a killed writer) are left out.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {
        name: FileEntry(sha256_file(path), path.stat().st_size)
        for name, path in names.items()
        if name != MANIFEST and not any(part.startswith(".") for part in PurePosixPath(name).parts)
    }
    whole = replace(manifest, files=files)
    text = json.dumps(whole.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    replace_file(folder / MANIFEST, (text + "\n").encode())
    return whole


def _read_manifest(folder: Path) -> bytes:
    path = folder / MANIFEST
    if not path.is_file():
        seen = f"it has no {MANIFEST}" if folder.is_dir() else "it is a file" if folder.exists() else "it is not there"
        raise InputError(f"{folder} is no bundle: {seen}; give the folder that `rarefault export` wrote")
    if path.stat().st_size > MAX_MANIFEST:
        raise InputError(f"{path} is {path.stat().st_size} bytes, a manifest has at most {MAX_MANIFEST}; copy it again")
    return path.read_bytes()


def _parse(folder: Path, data: bytes) -> Manifest:
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise InputError(f"it holds a {type(document).__name__}, expected an object; pack the bundle again")
        return Manifest.from_json(document)
    except InputError as error:
        raise InputError(f"{folder / MANIFEST}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder / MANIFEST} is no JSON ({error}); the copy is damaged, copy it again") from error


def _verify(folder: Path, name: str, entry: FileEntry, check: Callable[[Path, str, FileEntry], None]) -> None:
    try:
        check(folder, name, entry)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _check_size(folder: Path, name: str, entry: FileEntry) -> None:
    """One check per fact, the cheap ones first."""
    path = folder / name
    if not _lies_inside(folder, path):
        raise InputError(f"{folder / MANIFEST} lists {name!r}, which lies outside the bundle; do not use this bundle")
    if not path.is_file():
        raise InputError(f"{path} is missing, the manifest lists it; the copy is incomplete, copy the bundle again")
    if (size := path.stat().st_size) != entry.bytes:
        raise InputError(f"{path} is {size} bytes, the manifest says {entry.bytes}; the copy is damaged, copy it again")


def _check_digest(folder: Path, name: str, entry: FileEntry) -> None:
    if (seen := sha256_file(folder / name)) != entry.sha256:
        raise DamagedFileError(
            f"{folder / name} has sha256 {seen}, the manifest says {entry.sha256}; the copy is damaged, copy it again"
        )


def _lies_inside(folder: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (RuntimeError, ValueError):  # a loop of links; a name no file can have
        return False
