"""The types of the number arrays that the rooms hand to each other, and how arrays are kept in files."""

import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

from edge_runtime.bundle.files import replace_file

Labels = npt.NDArray[np.int64]
"""Class numbers 0..K-1, or positions of images."""
Numbers = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
"""Logits, features or embeddings, one row an image."""
_ROWS_AT_ONCE = 1024  # of a file


def keep_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], key: str) -> None:
    """Write named `arrays` to a .safetensors file, whole or not at all; `key` stands for all that they depend on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"key": key}))


def kept_arrays(path: Path, key: str) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays that `keep_arrays` wrote for this key; None for another key or no file."""
    if not path.exists():
        return None
    with safe_open(path, "np") as file:
        if (file.metadata() or {}).get("key") != key:
            return None
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no mapping


class RowStore:
    """Arrays of one shape and type by id, in a folder that several processes may read and add to at once.

    Each process that adds writes a pair of files of its own: NAME.rows holds the arrays one after the other, NAME.ids
    says after a line of JSON about their shape which they are, a line each. An array is there once its id's line is
    whole; so a killed process leaves what it has, and 100,000 arrays are two files instead of as many.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = uuid4().hex
        self._read: dict[Path, int] = {}  # bytes of each file of ids
        self._rows: dict[Path, int] = {}  # of each file of arrays
        self._places: dict[str, tuple[Path, int]] = {}  # id -> file of arrays, row
        self._kinds: dict[Path, tuple[str, list[int]]] = {}

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return those of `ids` that are not there, each once."""
        for path in sorted(self.folder.glob("*.ids")):
            self._look(path)
        return [name for name in dict.fromkeys(ids) if name not in self._places]

    def _look(self, path: Path) -> None:
        """Read what a file of ids has more than at the last look."""
        with path.open("rb") as file:
            begun = file.seek(self._read.get(path, 0))
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        lines, rows = whole.decode().split("\n")[:-1], path.with_suffix(".rows")
        if lines and not begun:
            kind = json.loads(lines.pop(0))
            self._kinds[rows] = kind["dtype"], kind["shape"]
        first = self._rows.get(rows, 0)
        self._places |= {name: (rows, first + number) for number, name in enumerate(lines)}
        self._read[path], self._rows[rows] = begun + len(whole), first + len(lines)

    def add(self, ids: Sequence[str], rows: npt.NDArray[Any]) -> None:
        """Keep an array for each id, (len(ids), ...), and wait until the disk has them; an id has no line end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self._own}.ids"
        kind = json.dumps({"dtype": rows.dtype.str, "shape": rows.shape[1:]}) + "\n"
        texts = ([] if path.exists() else [kind]) + [f"{name}\n" for name in ids]
        for suffix, content in ((".rows", np.ascontiguousarray(rows).tobytes()), (".ids", "".join(texts).encode())):
            with path.with_suffix(suffix).open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    def read(
        self, ids: Sequence[str], part: slice = slice(None), dtype: npt.DTypeLike | None = None
    ) -> npt.NDArray[Any]:
        """Return the arrays of N ids, (N, ...), or a `part` of each along its first axis, as numbers of type `dtype`.

        Raises KeyError for an id that was not there at the last look.
        """
        places: dict[Path, list[tuple[int, int]]] = {}
        for at, name in enumerate(ids):
            path, row = self._places[name]
            places.setdefault(path, []).append((at, row))
        found: npt.NDArray[Any] | None = None
        for path, pairs in places.items():
            kind, shape = self._kinds[path]
            whole = (self._rows[path], *shape)  # a kill may have left a part of a further one
            every = np.memmap(path, kind, "r", shape=whole) if math.prod(shape) else np.empty(whole)
            if found is None:
                found = np.empty((len(ids), *every[0, part].shape), dtype or kind)
            for start in range(0, len(pairs), _ROWS_AT_ONCE):
                at, rows = np.array(pairs[start : start + _ROWS_AT_ONCE]).T
                found[at] = every[rows, part]
        return np.empty(0) if found is None else found


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write `array` to `path` in the .npy format, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    replace_file(path, buffer.getvalue())
