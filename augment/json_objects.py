"""Typed JSON objects: frozen dataclasses that are read from JSON and written back without loss.

    class Shot(JsonObject):
        id: str
        boxes: Sequence[Box] | None = None

A field that the JSON does not hold stays absent when the object is written again: it reads as its default, or raises
InputError where it has none. A key that the class does not know is kept, so a document of another version of rarefault
keeps its digest; `dataclasses.replace` makes an object without such keys.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_by_parts, replace_file

T = TypeVar("T", bound="JsonObject")


@dataclass_transform(frozen_default=True, kw_only_default=True)
class JsonObject:
    """A JSON object; `vars` of one is what is written of it. Every subclass is a frozen dataclass of keyword fields."""

    def __init_subclass__(cls) -> None:
        """Make the subclass a dataclass, so that none can forget to be one."""
        dataclass(frozen=True, kw_only=True, repr=False)(cls)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"

    def __post_init__(self) -> None:
        """Leave out what is at its default."""
        for item in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            if vars(self)[item.name] == item.default:
                del vars(self)[item.name]

    if not TYPE_CHECKING:  # or the type checker would take every name for an attribute

        def __getattr__(self, name: str) -> object:
            """Called only for a name that is neither in the object nor has a default."""
            if name.startswith("__") or name not in {item.name for item in fields(self)}:
                raise AttributeError(f"{type(self).__name__} has no field {name}")
            raise InputError(
                f"a {type(self).__name__} of the run folder has no {name}: another version of rarefault wrote it; "
                "run the pipeline again in a new folder"
            )


def from_json(kind: type[T], content: Mapping[str, Any]) -> T:
    """Make the object of class `kind` that the JSON object `content` describes."""
    made = object.__new__(kind)
    vars(made).update(content)
    for name, hint in _nested(kind).items():  # type: ignore[arg-type]  # python/mypy issue 11469
        if name in content:
            vars(made)[name] = _decoded(hint, content[name])
    return made


def plain(value: object) -> object:
    """Return a JsonObject as a dictionary; for `json.dumps(..., default=plain)`."""
    if isinstance(value, JsonObject):
        return vars(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def as_plain(value: object) -> Any:
    """Return an object, or a container of objects, as the plain JSON value that is written of it."""
    return json.loads(json.dumps(value, default=plain))


def write_json(path: Path, value: object) -> None:
    """Write a JSON value or JsonObject to `path`, indented, whole or not at all."""
    replace_file(path, (json.dumps(value, indent=1, ensure_ascii=False, default=plain) + "\n").encode())


def write_listing(path: Path, head: Mapping[str, object], name: str, entries: Iterable[object]) -> None:
    """Write a JSON object whole or not at all: `head`, and the list `name` with an entry a line, however many."""
    begin, _, _ = json.dumps({**head, name: [0]}, indent=1, ensure_ascii=False, default=plain).rpartition(
        "\n  0\n ]\n}"
    )
    lines = (json.dumps(entry, ensure_ascii=False, default=plain) for entry in entries)
    first = next(lines, None)
    if first is None:
        write_json(path, {**head, name: []})
        return
    parts = chain((begin, "\n", first), (part for line in lines for part in (",\n", line)), ("\n ]\n}\n",))
    replace_by_parts(path, (part.encode() for part in parts))


def read_listing(path: Path, name: str, entry: Callable[[Any], Any]) -> Any:
    """Return the JSON object at `path` with each entry of its list `name` replaced by what `entry` makes of it.

    What `write_listing` wrote is read line by line, so that text and plain values are never in memory as a whole.
    Raises ValueError where the file is no whole JSON.
    """
    with path.open("rb") as file:
        head, begin = [], f' "{name}": [\n'.encode()
        for line in file:
            if line == begin:
                break
            head.append(line)
        entries: list[Any] = []
        for line in file:
            if not line.startswith(b"{"):
                if entries and line == b" ]\n" and file.read() == b"}\n":
                    return json.loads(b"".join(head).rstrip(b",\n") + b"}") | {name: entries}
                break
            entries.append(entry(json.loads(line.rstrip(b",\n"))))
    content = json.loads(path.read_bytes())
    if isinstance(content, dict) and isinstance(content.get(name), list):
        content[name] = [entry(found) for found in content[name]]
    return content


@cache
def _nested(kind: Any) -> Mapping[str, Any]:
    """Return the type hints of the fields that hold further JsonObjects."""
    return {name: hint for name, hint in get_type_hints(kind).items() if _holds_objects(hint)}


def _holds_objects(hint: Any) -> bool:
    return _is_object(hint) or any(_holds_objects(part) for part in get_args(hint))


def _is_object(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, JsonObject)


def _decoded(hint: Any, value: Any) -> Any:
    """Return `value` with its JSON objects turned into the classes that `hint` names."""
    if value is None:
        return None
    if _is_object(hint):
        return from_json(hint, value)
    origin, parts = get_origin(hint), [part for part in get_args(hint) if part is not NoneType]
    if origin in (Union, UnionType):
        return _decoded(parts[0], value)
    if origin is Sequence:
        return [_decoded(parts[0], entry) for entry in value]
    return {key: _decoded(parts[1], entry) for key, entry in value.items()}
