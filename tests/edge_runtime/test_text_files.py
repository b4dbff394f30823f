"""One reader for every text a person writes: marks, UTF-16, line ends, and sentences for what is no text."""

import ast
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.text_files import as_on_disk, decode_text, normal, printable, read_text
from tests.support import ROOT

# Modules that read text on their own or speak of marks, and why they may.
OWN_TEXTS = {
    "edge_runtime/text_files.py": "the reader",
    "edge_runtime/watchlog/report.py": "the page that is packaged with it",
    "edge_runtime/clock.py": "a file of the kernel",
    "edge_runtime/web/page_style.py": "the style sheets that are packaged with it",
    "edge_runtime/classify/report.py": "the page that is packaged with it",
    "edge_runtime/classify/path_lists.py": "lists that arrive line by line from another program, in the same encodings",
    "edge_runtime/bundle/store.py": "a pointer to a slot, which an update has written",
    "edge_runtime/classify/update.py": "the address that it has written itself",
    "edge_runtime/classify/cli.py": "writes the mark that a spreadsheet wants, and reads no text",
    "augment/report/figure_style.py": "the style sheets of the pages",
    "augment/station_demo/commands.py": "what the station that it started has logged",
    "augment/training/frame_cache.py": "its own mark",
    "edge_runtime/inference/gpu_driver.py": "a file of the kernel",
    "augment/distributed/side_by_side.py": "what the runs that it started have printed",
    "augment/engines/ray_engine.py": "the version that it has written itself",
    "augment/mini/assemble.py": "the configuration that a library has written",
}
TEXT = "Öl-Leck,1\n漏れ,2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_reads_the_same_in_every_encoding_and_with_every_line_end(tmp_path, encoding, end):
    path = tmp_path / "list.txt"
    path.write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert read_text(path) == TEXT


def test_utf_16_of_the_other_byte_order_with_its_mark_is_read():
    assert decode_text(b"\xfe\xff" + TEXT.encode("utf-16-be"), "a") == TEXT


def test_a_text_in_windows_1252_is_refused_with_its_line_the_byte_and_the_remedy(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("path,label\r\na.jpg,ok\r\nb.jpg,Öl\r\n".encode("cp1252"))
    with pytest.raises(
        InputError, match=r"list\.csv is no UTF-8 text: line 3 holds the byte 0xD6 \('Ö' in Windows-1252\); save"
    ):
        read_text(path)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a\nb\0c\n" + b"d" * 20, "x is no text: line 2 holds a zero byte"),
        (b"\xff\xfea\0b", "x is no whole UTF-16 text: see line 1"),
        (b"ab\x81", "x is no UTF-8 text: line 1 holds the byte 0x81;"),
    ],
)
def test_what_is_no_text_is_named(data, sentence):
    with pytest.raises(InputError, match=sentence):
        decode_text(data, "x")


def test_an_empty_text_is_a_text():
    assert decode_text(b"", "x") == decode_text(b"\xef\xbb\xbf", "x") == ""


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / "none")


def test_names_of_two_systems_are_equal_in_composed_form():
    assert normal("O\u0308l") == normal("\u00d6l") == "\u00d6l"


def test_names_that_are_no_text_and_line_breaks_come_out_escaped():
    assert printable("K\udcfchler\n\u202e.jpg") == "K\\udcfchler\\n\\u202e.jpg"


def _reads_text(node: ast.AST) -> bool:
    """Whether a call is `x.read_text(...)`, or `open` or `x.open` for reading text in an encoding."""
    if not isinstance(node, ast.Call):
        return False
    named = {word.arg: word.value for word in node.keywords}
    if isinstance(node.func, ast.Attribute):
        if node.func.attr == "read_text":
            return True
        if node.func.attr == "open":
            mode = named.get("mode", node.args[0] if node.args else None)
            return "encoding" in named and (mode is None or ast.unparse(mode) in ("'r'", "'rt'"))
        return False
    if isinstance(node.func, ast.Name) and node.func.id == "open":
        mode = named.get("mode", node.args[1] if len(node.args) > 1 else None)
        return mode is None or ast.unparse(mode) in ("'r'", "'rt'")
    return False


def test_no_module_reads_a_person_s_text_on_its_own():
    paths = [path for package in ("edge_runtime", "export", "augment") for path in (ROOT / package).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT))
        for path in paths
        if any(_reads_text(node) for node in ast.walk(ast.parse(path.read_text()))) or "utf-8-sig" in path.read_text()
    }
    assert found - set(OWN_TEXTS) == set()


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("path.read_text()", True),
        ("read_text(path)", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("path.open(encoding='utf-8', newline='')", True),
        ("path.open('w', encoding='utf-8')", False),
        ("outbox.open()", False),
    ],
)
def test_the_search_for_readers_can_tell_them(code, reads):
    assert any(_reads_text(node) for node in ast.walk(ast.parse(code))) == reads


def test_the_list_of_own_texts_has_nothing_that_is_gone():
    assert [name for name in OWN_TEXTS if not Path(ROOT / name).exists()] == []


def test_a_path_is_found_in_either_spelling_of_its_umlauts(tmp_path):
    (tmp_path / "Ho\u0308fe").mkdir()
    (tmp_path / "\u00d6l").mkdir()
    assert as_on_disk(tmp_path / "H\u00f6fe") == tmp_path / "Ho\u0308fe"
    assert as_on_disk(tmp_path / "O\u0308l") == tmp_path / "\u00d6l"
    assert as_on_disk(tmp_path / "go\u0308ne") == tmp_path / "go\u0308ne"
