"""Power cuts without pulling a plug: record what a process asks of its disk, and make what a cut may leave of it.

`record` runs a process under strace. `Disk` applies the calls below one folder one after the other, and tells volatile
from durable: the content of a file is durable once fsync was called on it, a name once it was called on its folder.
`leftovers` gives what a cut after the last call may leave: all of it, only what is durable, all names with the durable
content alone (as a file system does that writes names first), all names and lengths with zeros for what is not durable
(as one does that writes lengths first), and random mixtures of these, down to single pages of a file.
"""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

STRACE = shutil.which("strace")
CALLS = (
    "openat,write,pwrite64,close,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,symlink,symlinkat,"
    "mkdir,mkdirat,link,linkat,truncate,ftruncate,lseek,sendfile,copy_file_range,dup,dup2,dup3"
)
PAGE = 64  # bytes that a disk writes at once; small, as the files of our bundles are
LINE = re.compile(r"(?:\d+\s+)?(\w+)\((.*)\)\s+= (-?\d+)")
AT = re.compile(r"^(?:AT_FDCWD|\d+), ")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
Tree = dict[str, bytes | str | None]  # path -> content of a file, target of a link, None for a folder


@dataclass(frozen=True)
class Call:
    """A system call that succeeded: its name, its texts, its other arguments as one text, and its result."""

    name: str
    texts: tuple[bytes, ...]
    rest: str
    result: int


def record(command: Sequence[str], log: Path) -> list[Call]:
    """Run the command to its end and return its calls."""
    assert STRACE
    traced = [STRACE, "-f", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(log), *command]
    subprocess.run(traced, check=True, timeout=120, stdout=subprocess.DEVNULL)
    calls = []
    for line in log.read_text().splitlines():
        assert "unfinished" not in line, "two threads at once: their calls have no order"
        if (found := LINE.match(line)) and int(found[3]) >= 0:
            texts = tuple(bytes.fromhex(text.replace("\\x", "")) for text in TEXT.findall(found[2]))
            calls.append(Call(found[1], texts, TEXT.sub('""', found[2]), int(found[3])))
    return calls


@dataclass(eq=False)
class Content:
    """The bytes of a file, or the target of a link, which is durable with its name."""

    data: bytes = b""
    durable: bytes = b""
    target: str | None = None

    def overwrite(self, place: int, data: bytes) -> None:
        self.data = self.data[:place].ljust(place, b"\0") + data + self.data[place + len(data) :]

    @property
    def unwritten(self) -> bytes:
        """The durable bytes at the length that the file has now, with zeros where there are none."""
        return self.durable[: len(self.data)].ljust(len(self.data), b"\0")

    def damaged(self, chance: random.Random) -> bytes:
        """Any mixture of what was written and what is durable."""
        if self.data == self.durable:
            return self.data
        pages = [range(start, start + PAGE) for start in range(0, len(self.data), PAGE)]
        old = self.unwritten
        mixed = b"".join(chance.choice((self.data, old))[page.start : page.stop] for page in pages)
        return chance.choice([self.data, self.durable, self.data[: chance.randint(0, len(self.data))], mixed])


@dataclass(eq=False)
class OpenFile:
    """What is open, under which name, and the place where the next write goes."""

    what: "Content | Folder"
    path: PurePosixPath
    place: int = 0


@dataclass(eq=False)
class Folder:
    """Names, those that are durable, and the changes since: (name, what it then means or None)."""

    names: "dict[str, Content | Folder]" = field(default_factory=dict)
    durable: "dict[str, Content | Folder]" = field(default_factory=dict)
    changes: "list[tuple[str, Content | Folder | None]]" = field(default_factory=list)

    def put(self, name: str, what: "Content | Folder | None") -> None:
        if what is None:
            self.names.pop(name)
        else:
            self.names[name] = what
        self.changes.append((name, what))


class Disk:
    """The folder `root` as the calls change it, beginning with what lies there now, all of which is durable.

    `deaf` is a pattern of paths whose fsync does nothing, as if the program had forgotten it.
    """

    def __init__(self, root: Path, deaf: str = "") -> None:
        self.root, self.deaf = PurePosixPath(root), re.compile(deaf) if deaf else None
        self.top = _read(root)
        self.files: dict[int, OpenFile] = {}
        # Renames between two folders: (source, old name, target, new name, what was moved).
        self.moves: list[tuple[Folder, str, Folder, str, Content | Folder]] = []

    def apply(self, call: Call) -> bool:
        """Do what the call did; whether it concerned this disk."""
        number = int(found[0]) if (found := re.match(r"\d+", call.rest)) else -1
        paths = [PurePosixPath(os.fsdecode(text)) for text in call.texts]
        if call.name == "close":
            self.files.pop(number, None)
            return False
        if call.name in ("write", "fsync", "fdatasync", "ftruncate", "lseek", "sendfile"):
            return number in self.files and self._to_file(call, self.files[number])
        if call.name in ("copy_file_range", "pwrite64", "dup", "dup2", "dup3"):
            assert number not in self.files, f"{call.name} is not modelled"
            return False
        if not any(self._ours(path) for path in paths):
            return False
        self._to_names(call, paths)
        return call.name != "openat" or "O_CREAT" in call.rest or "O_TRUNC" in call.rest

    def _ours(self, path: PurePosixPath) -> bool:
        return path.is_relative_to(self.root)

    def _to_file(self, call: Call, file: OpenFile) -> bool:
        if call.name == "lseek":
            file.place = call.result
            return False
        if call.name in ("fsync", "fdatasync"):
            return self._sync(file)
        what = file.what
        assert isinstance(what, Content)
        if call.name == "ftruncate":
            length = int(call.rest.split(", ")[1])
            what.data = what.data[:length].ljust(length, b"\0")
            return True
        data = call.texts[0][: call.result] if call.name == "write" else self._sent(call)
        what.overwrite(file.place, data)
        file.place += len(data)
        return bool(data)

    def _sent(self, call: Call) -> bytes:
        """What sendfile has copied: its arguments are the two files, and the place in the second one."""
        found = re.match(r"\d+, (\d+), \[(\d+)\]", call.rest)
        assert found, call.rest
        source, start = self.files[int(found[1])].what, int(found[2])
        assert isinstance(source, Content)
        return source.data[start : start + call.result]

    def _sync(self, file: OpenFile) -> bool:
        what = file.what
        if self.deaf and self.deaf.search(str(file.path.relative_to(self.root))):
            return False
        if isinstance(what, Content):
            what.durable = what.data
        else:
            what.durable, what.changes = dict(what.names), []
        return True

    def _to_names(self, call: Call, paths: list[PurePosixPath]) -> None:
        parent, name = self._place(paths[-1])
        if call.name == "openat":
            if name not in parent.names and "O_CREAT" in call.rest:
                parent.put(name, Content())
            what = parent.names[name] if name else parent
            if isinstance(what, Content) and "O_TRUNC" in call.rest:
                what.data = b""
            end = len(what.data) if isinstance(what, Content) and "O_APPEND" in call.rest else 0
            self.files[call.result] = OpenFile(what, paths[0], end)
        elif call.name.startswith("rename"):
            before, old = self._place(paths[0])
            if before is not parent:
                self.moves.append((before, old, parent, name, before.names[old]))
            parent.put(name, before.names[old])
            before.put(old, None)
        elif call.name.startswith("symlink"):
            parent.put(name, Content(target=os.fsdecode(call.texts[0])))
        elif call.name.startswith("mkdir"):
            parent.put(name, Folder())
        elif call.name.startswith("unlink") or call.name == "rmdir":
            parent.put(name, None)
        else:
            raise AssertionError(f"{call.name} is not modelled")

    def _place(self, path: PurePosixPath) -> tuple[Folder, str]:
        parts = path.relative_to(self.root).parts
        folder = self.top
        for part in parts[:-1]:
            below = folder.names[part]
            if isinstance(below, Content) and below.target is not None:
                below = folder.names[below.target]  # our links lead to names beside them
            assert isinstance(below, Folder)
            folder = below
        return folder, parts[-1] if parts else ""

    def leftovers(self, chance: random.Random, mixtures: int = 2) -> Iterator[Tree]:
        """Yield what a power cut now may leave."""
        yield _tree(self.top, lambda folder: folder.names, lambda file: file.data)
        yield _tree(self.top, lambda folder: folder.durable, lambda file: file.durable)
        yield _tree(self.top, lambda folder: folder.names, lambda file: file.durable)
        yield _tree(self.top, lambda folder: folder.names, lambda file: file.unwritten)
        for _ in range(mixtures):
            yield _tree(self.top, self._mixture(chance).__getitem__, lambda file: file.damaged(chance))

    def _mixture(self, chance: random.Random) -> "dict[Folder, dict[str, Content | Folder]]":
        """Return the names of every folder after some of its changes.

        A rename between two folders is one transaction of a journalled file system (rename(2); ext4, XFS): its second
        half may be missing, but what it moves is not lost from both.
        """
        kept = {folder: _some(folder, chance) for folder in _folders(self.top)}
        for before, old, after, new, what in self.moves:
            if before in kept and kept[before].get(old) is not what and after.names.get(new) is what:
                kept[after][new] = what
        return kept


def _folders(top: Folder) -> list[Folder]:
    """Return `top` and every folder that its names have led to, durable or not."""
    found: dict[Folder, None] = {}  # in the order of the walk, so that every run draws the same
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if folder not in found:
            found[folder] = None
            told = [*folder.names.values(), *folder.durable.values(), *(what for _, what in folder.changes)]
            waiting += [what for what in told if isinstance(what, Folder)]
    return list(found)


def _some(folder: Folder, chance: random.Random) -> "dict[str, Content | Folder]":
    """The names after some of the changes, in their order."""
    names = dict(folder.durable)
    for name, what in folder.changes[: chance.randint(0, len(folder.changes))]:
        if what is None:
            names.pop(name, None)
        else:
            names[name] = what
    return names


def _tree(folder: Folder, names, data, path: str = "") -> Tree:  # type: ignore[no-untyped-def]
    tree: Tree = {}
    for name, what in names(folder).items():
        if isinstance(what, Folder):
            tree |= {path + name: None, **_tree(what, names, data, f"{path}{name}/")}
        else:
            tree[path + name] = what.target if what.target is not None else data(what)
    return tree


def _read(root: Path) -> Folder:
    folder = Folder()
    for path in sorted(root.iterdir()):
        if path.is_symlink():
            folder.names[path.name] = Content(target=str(path.readlink()))
        elif path.is_dir():
            folder.names[path.name] = _read(path)
        else:
            folder.names[path.name] = Content(path.read_bytes(), path.read_bytes())
    folder.durable = dict(folder.names)
    return folder


def write(tree: Tree, root: Path) -> None:
    """Make `root` hold exactly the tree."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, what in tree.items():
        if what is None:
            (root / name).mkdir()
        elif isinstance(what, str):
            (root / name).symlink_to(what)
        else:
            (root / name).write_bytes(what)
