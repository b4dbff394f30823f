"""edge-classify without what only POSIX has, and on consoles that are not UTF-8.

A module that Python imports by itself at its start takes away what Windows does not have, in the video decoder too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.pictures import GREEN, RED, mjpeg_avi, picture, write

WITHOUT_POSIX = """
import ctypes, functools, os, signal, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline"}:
            raise ImportError(f"no module {name} on this system")

sys.meta_path.insert(0, Missing())
for name in "fcntl resource pwd grp termios".split():
    sys.modules.pop(name, None)
for name in (
    "fork forkpty sched_getaffinity sched_setaffinity mkfifo mknod getuid geteuid getgid getppid killpg setsid chown "
    "statvfs fchmod fdatasync posix_fadvise pread pwrite sendfile memfd_create eventfd getloadavg wait3 wait4 "
    "O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_SYNC"
).split():
    if hasattr(os, name):
        delattr(os, name)
for name in "SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGQUIT alarm pause setitimer pthread_sigmask sigwait".split():
    if hasattr(signal, name):
        delattr(signal, name)

def no_library(*_, **__):
    raise AttributeError("no such library on this system")

ctypes.CDLL, real_library = no_library, ctypes.CDLL
really_open, really_stat = os.open, os.stat

def open_file(path, *rest, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied")  # Windows opens no folder
    return really_open(path, *rest, **named)

def stat_without_number(*arguments, **named):
    found = really_stat(*arguments, **named)
    return os.stat_result((found[0], 0, *found[2:10]))  # some network drives number no file

# Python 3.10 keeps os.stat in a class of pathlib, where a function would become a method.
os.open, os.stat = functools.partial(open_file), functools.partial(stat_without_number)
"""


@pytest.fixture
def windows_like(tmp_path, monkeypatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_POSIX)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))


def pictures(folder: Path) -> Path:
    for name, colour in (("a/green.png", GREEN), ("b/red.png", RED)):
        (folder / name).parent.mkdir(parents=True)
        write(folder / name, picture(colour))
    mjpeg_avi(folder / "film.avi", [GREEN, RED])
    return folder


def test_the_calls_are_really_gone(windows_like):
    code = "import os, sys; print(hasattr(os, 'fork'), 'fcntl' in sys.modules); os.open('.', 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]
    assert "PermissionError" in done.stderr


def test_nothing_on_its_way_needs_posix(windows_like, classify, tmp_path):
    folder, output = pictures(tmp_path / "in"), tmp_path / "out"
    output.mkdir()
    files = ("--output", output / "r.jsonl", "--report", output / "r.html", "--heatmap", output / "heat")
    done = classify(folder, *files, "--engine", "cpu", "--bench")
    assert done.returncode == 10, done.stderr
    assert "Traceback" not in done.stderr
    seen = [json.loads(line) for line in (output / "r.jsonl").read_text().splitlines()]
    told = [(Path(record["path"]).name, record["seconds"], record["label"]) for record in seen]
    films = [("film.avi", 0.0, "normal"), ("film.avi", 1.0, "rust")]
    assert told == [("green.png", None, "normal"), ("red.png", None, "rust"), *films]
    assert len(list((output / "heat").iterdir())) == 4
    assert "flagged as a fault" in (output / "r.html").read_text()


def test_an_unusable_bundle_is_a_sentence_there_too(windows_like, classify, tmp_path):
    done = classify("x.png", "--bundle", tmp_path / "nowhere")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "is no bundle" in done.stderr


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "ascii", "ascii:strict", "cp932"])
@pytest.mark.parametrize("style", ["table", "jsonl", "csv"])
def test_no_console_encoding_stops_it(classify, monkeypatch, tmp_path, encoding, style):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    names = ("Kühler 🔥 変圧器.png", "λ.heic")
    write(tmp_path / names[0], picture(RED))
    (tmp_path / names[1]).write_bytes(b"\0\0\0\x14ftypavif\0\0\0\0avif")
    command = [sys.executable, "-m", "edge_runtime.classify", str(tmp_path), "--format", style, "--engine", "cpu"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 10
    assert b"Traceback" not in done.stderr
    text = done.stdout.decode(encoding.partition(":")[0] if style == "table" else "utf-8")
    assert ("Kühler 🔥 変圧器.png" in text) == (style != "table")
    assert text.startswith("\ufeffpath,") == (style == "csv")


@pytest.mark.parametrize("encoding", ["cp437", "ascii:strict"])
def test_no_console_encoding_stops_the_sentence_of_an_error(classify, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    command = [sys.executable, "-m", "edge_runtime.classify", "x.png", "--bundle", "変圧器 🔥"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"is no bundle" in done.stderr
    assert b"Traceback" not in done.stderr
