"""Every text has one home, is used, and is there for who asks for it."""

import re

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.settings_reader import read_toml
from edge_runtime.web import texts
from tests.support import ROOT

ROOMS = [ROOT / "edge_runtime", ROOT / "augment"]
# A template's text between its tags, after statements, expressions, comments and scripts are taken out.
CODE = re.compile(
    r"\{% block main_class %\}.*?\{% endblock %\}|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<!--.*?-->"
    r"|<script.*?</script>|<style.*?</style>",
    re.S,
)
SPOKEN = re.compile(r"\b(?:title|alt|placeholder|aria-label)=\"([^\"]*)\"")
KEY = re.compile(r"""\bt\(\s*["'`]([a-z_]+\.[a-z0-9_]+)["'`]\s*[,)]""")
START = re.compile(r"""["'`]([a-z_]+\.[a-z0-9_]*)(?:["']\s*(?:~|\+)|\$\{|\{)""")
LITERAL = re.compile(r"""["'`]([a-z_]+\.[a-z0-9_]+)["'`]""")


def templates():
    return sorted(path for path in ROOMS[0].rglob("templates/*.html"))


def sources():
    scripts = sorted(path for path in ROOMS[0].rglob("static/*.js"))
    return templates() + scripts + sorted(path for room in ROOMS for path in room.rglob("*.py"))


def keys():
    content = read_toml(texts.FOLDER / "en.toml")
    return {f"{table}.{name}" for table, entries in content.items() for name in entries}


def test_a_text_is_chosen_by_number_and_filled_in():
    read = texts.read("en")
    assert read("login.wait", n=1) == "Too many attempts. Try again in 1 second."
    assert read("login.wait", n=2) == "Too many attempts. Try again in 2 seconds."
    assert read("login.name") == "Name"
    assert read.tables("login")["login"]["name"] == "Name"
    with pytest.raises(KeyError):
        read("login.nothing")


def test_a_language_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(InputError, match="known languages are en"):
        texts.read("xx")


def test_every_text_that_templates_and_scripts_ask_for_is_there():
    known = keys()
    missing = {
        f"{path.name}: {key}"
        for path in sources()
        if path.suffix in (".html", ".js")
        for key in KEY.findall(path.read_text())
        if key not in known
    }
    assert missing == set()


def test_every_text_is_used():
    words = [path.read_text() for path in sources()]
    used = {key for text in words for key in LITERAL.findall(text)}
    starts = {start for text in words for start in START.findall(text)}
    assert {key for key in keys() if key not in used and not any(key.startswith(start) for start in starts)} == set()


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.name)
def test_no_template_holds_prose(path):
    text = CODE.sub(" ", path.read_text())
    spoken = " ".join(SPOKEN.findall(text))
    between = re.sub(r"<[^>]*>", " ", text)
    prose = re.sub(r"&\w+;", " ", f"{between} {spoken}")
    assert re.findall(r"[^\W\d_]{2,}", prose) == []


@pytest.mark.parametrize("path", sorted(texts.FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_translation_has_the_keys_and_the_words_in_braces_of_the_english_one(path):
    english, other = read_toml(texts.FOLDER / "en.toml"), read_toml(path)

    def shape(content):
        return {
            (table, key): sorted(set(re.findall(r"\{\w*\}", str(text))) - {"{}"})
            for table, entries in content.items()
            for key, text in entries.items()
        }

    assert shape(other) == shape(english)
