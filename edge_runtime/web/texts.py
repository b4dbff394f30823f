"""Every text of every page, from one file a language, so that translating is one file's work."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ..bundle.errors import InputError
from ..settings_reader import read_toml

FOLDER = Path(__file__).parent / "texts"
Table = Mapping[str, object]


class Texts:
    """The texts of one language. Calling it returns one, `texts("events.found", n=3)`.

    A text with `one` and `other` is chosen by `n`. Values stand in braces, `"{n} events"`, and are put in as they
    are: what is put into a page is escaped there.
    """

    def __init__(self, language: str, tables: Mapping[str, Table]) -> None:
        self.language, self._tables = language, tables

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of `key`; KeyError where there is none."""
        table, _, name = key.partition(".")
        text = self._tables[table][name]
        if isinstance(text, Mapping):
            text = text["one" if values.get("n") == 1 else "other"]
        return str(text).format(**values) if values else str(text)

    def tables(self, *names: str) -> dict[str, Table]:
        """Return whole tables, for the scripts of a page."""
        return {name: self._tables[name] for name in names}


@lru_cache(maxsize=8)
def read(language: str) -> Texts:
    """Return the texts of `language`, a two-letter code; InputError where there is no file of it."""
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if language not in known:
        raise InputError(f"there are no texts in {language!r}; known languages are {', '.join(known)}")
    return Texts(language, read_toml(FOLDER / f"{language}.toml", "install the package again"))
