"""The one settings reader: a TOML file into frozen dataclasses, every key checked, unknown keys met with the nearest.

A field says what it takes by its type and, where that is not enough, by its metadata: `low` and `high` bound a number,
`choices` lists the words that a text may be.
"""

import dataclasses
import difflib
import math
import re
import sys
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .bundle.errors import InputError
from .text_files import decode_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # it becomes a part of topics and file names
T = TypeVar("T")


def read_toml(path: Path, remedy: str = "give the station's settings with --config") -> dict[str, Any]:
    """Return the file's content. InputError where it cannot be read or is no TOML; its text is never quoted.

    `remedy` says what to do where the file cannot be read.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"{path} is {size} bytes, settings have at most {MAX_BYTES}; is it the right file?")
        return tomllib.loads(decode_text(path.read_bytes(), str(path)))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}; correct it (paths with \\ stand in single quotes)") from None


def number(default: float, low: float, high: float | None = None) -> Any:
    """Return a settings field that takes numbers from `low`, up to `high` where that is given."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def build(kind: type[T], content: object, name: str) -> T:
    """Return `content`, the section called `name`, as a `kind`, nested sections included.

    Types that fields may have: str, bool, int, float, Path, another dataclass, `tuple[X, ...]`, `dict[str, X]`, and
    any of them or None. A relative Path stays relative. InputError names the key and what was expected; it quotes
    numbers, but no text, which may be a secret in the wrong place, unless the field takes one of a few words.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"{name} is {_described(content)}, expected a section")
    hints = get_type_hints(kind)
    items = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in items:
            raise InputError(f"{_joined(name, key)} is unknown{nearest(key, items)}")
    missing = [key for key, item in items.items() if _required(item) and key not in content]
    if missing:
        raise InputError(f"{_joined(name, missing[0])} is missing; it has to be set")
    values = {key: _checked(items[key], hints[key], value, _joined(name, key)) for key, value in content.items()}
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{name}: {error}" if name else str(error)) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: the nearest known one, else all of them."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(words)}"


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _required(item: "dataclasses.Field[Any]") -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _checked(item: "dataclasses.Field[Any]", hint: Any, value: object, name: str) -> Any:
    """Return `value` by its type and within the bounds that the field's metadata sets."""
    value = _value(hint, value, name)
    low, high, choices = (item.metadata.get(key) for key in ("low", "high", "choices"))
    if choices and value not in choices:
        raise InputError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        raise InputError(f"{name} is {value}, expected {span}")
    return value


def _value(hint: Any, value: object, name: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _value(next(part for part in get_args(hint) if part is not type(None)), value, name)
    if origin is tuple:
        return _tuple(get_args(hint), value, name)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{name} is {_described(value)}, expected a section")
        return {key: _value(get_args(hint)[1], entry, _joined(name, key)) for key, entry in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(hint, value, name)  # type: ignore[arg-type]
    return _plain(hint, value, name)


def _tuple(kinds: tuple[Any, ...], value: object, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        written = f", whose entries begin with [[{name}]]" if isinstance(value, Mapping) else ""
        raise InputError(f"{name} is {_described(value)}, expected a list{written}")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise InputError(f"{name} has {len(value)} values, expected {len(kinds)}")
    return tuple(
        _value(kind, entry, f"{name}[{place}]") for place, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    )


def _plain(kind: type, value: object, name: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if type(value) is not kind:
        expected = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
        raise InputError(f"{name} is {_described(value)}, expected {expected.get(kind, kind.__name__)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} is {value}, expected a finite number")
    return value


def _described(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    kinds = ((str, "a text"), (list, "a list"), (dict, "a section"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "a date or time")


def check_name(what: str, name: str) -> None:
    """InputError where `name` cannot be a part of topics and file names."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{what} is called {name!r}; a name has 1 to 64 letters (a to z), digits, dots, dashes or "
            "underscores and begins with a letter or a digit"
        )


def plain_name(name: str) -> str:
    """Return `name` in small letters, digits and underscores, as environment variables have it."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def check_one_of(first: str, one: object, second: str, other: object) -> None:
    """InputError unless exactly one of two keys is set."""
    if one and other:
        raise InputError(f"{first} and {second} are both set; remove one of them")
    if not one and not other:
        raise InputError(f"neither {first} nor {second} is set; set one of them")
