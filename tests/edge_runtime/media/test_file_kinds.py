"""What a file is, by its bytes; by its name only where the bytes say nothing."""

import struct
from pathlib import Path

import pytest

from edge_runtime.media.file_kinds import OWN_MARK, FileKind, Kind, file_kind, kind_of, made_by_system, reads_heic

HEIC = Kind.PICTURE if reads_heic() else Kind.UNREAD_PICTURE


def box(major: bytes, *compatible: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0" * 64


def tiff(*tags: tuple[int, int]) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "a.txt", Kind.PICTURE),
        (b"\x89PNG\r\n\x1a\n", "IMG_1", Kind.PICTURE),
        (b"RIFF\1\0\0\0WEBP", "a.avi", Kind.PICTURE),
        (b"RIFF\1\0\0\0AVI ", "a.webp", Kind.VIDEO),
        (b"RIFF\1\0\0\0WAVE", "a.dat", Kind.OTHER),
        (tiff((256, 10)), "a.tif", Kind.PICTURE),
        (b"MM\0+\0\x08\0\0", "big.tif", Kind.PICTURE),
        (tiff((256, 10)), "DSC_1.NEF", Kind.UNREAD_PICTURE),
        (tiff((50706, 4)), "renamed.tif", Kind.UNREAD_PICTURE),
        (tiff((254, 1), (330, 100)), "renamed.jpg", Kind.UNREAD_PICTURE),
        (b"II*\0\x10\0\0\0CR\x02\0", "a.jpg", Kind.UNREAD_PICTURE),
        (box(b"crx "), "a.mp4", Kind.UNREAD_PICTURE),
        (box(b"heic", b"mif1", b"heic"), "a.jpg", HEIC),
        (box(b"mif1", b"avif", b"miaf"), "a.heic", Kind.UNREAD_PICTURE),
        (box(b"avif"), "a.jpg", Kind.UNREAD_PICTURE),
        (box(b"3gp4"), "a", Kind.VIDEO),
        (box(b"M4A "), "a.mp4", Kind.OTHER),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "a.bin", Kind.VIDEO),
        (b"G" + bytes(187) + b"G" + bytes(187) + b"G" + bytes(187), "00001", Kind.VIDEO),
        (bytes(4) + b"G" + bytes(191) + b"G" + bytes(191) + b"G" + bytes(191), "a.MTS", Kind.VIDEO),
        (b"DHAV" + bytes(60), "ch01.dav", Kind.VIDEO),
        (b"\0\0\0\1\x67\x42\0\x1e", "cam", Kind.VIDEO),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "a.wmv", Kind.VIDEO),
        (b"%PDF-1.7", "protocol.pdf", Kind.DOCUMENT),
        (b"PK\3\4", "a.docx", Kind.DOCUMENT),
        (b"MIME-Version: 1.0\r\nSubject: leak\r\n", "mail.txt", Kind.DOCUMENT),
        (b"BMW, Ampel, Tor 3: nothing seen\n", "notes", Kind.OTHER),
        ("Kühler dicht".encode("cp1252"), "notes.txt", Kind.OTHER),
        ("Kühler dicht".encode("utf-16"), "notes.txt", Kind.OTHER),
        (b"", "IMG_4711.JPG", Kind.PICTURE),
        (bytes(4096), "IMG_4711.MP4", Kind.VIDEO),
        (b"\x01\x02\x03 no format of ours", "scan.ARW", Kind.UNREAD_PICTURE),
        (b"\x01\x02\x03 no format of ours", "scan", Kind.UNREAD_PICTURE),
        (b"", "marker", Kind.OTHER),
        (b"", "IMG_4711.JPG.part", Kind.PICTURE),
        (b"", ".IMG_4711.jpg.Xa3f9d", Kind.PICTURE),
        (b"seen at noon", "IMG_4711.jpg.txt", Kind.OTHER),
        (b"\xff\xe1\x10\0Exif\0\0MM\0*", "no beginning.jpg", Kind.PICTURE),
        (b"\xff\xfb\x90\x64\0\0", "memo", Kind.OTHER),
        (b"\xff\xd8\xff\xe0", "cam.mjpeg", Kind.VIDEO),
        (b"bplist00", ".IMG_1.HEIC.icloud", Kind.UNREAD_PICTURE),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "._IMG_1.JPG", Kind.OTHER),
        (b"\xff\xd8\xff\xfe\0\x24" + OWN_MARK, "heat.jpg", Kind.OTHER),
    ],
)
def test_the_content_decides_and_the_name_where_it_says_nothing(head, name, kind):
    assert kind_of(head, name).kind is kind


def test_a_format_is_named_as_people_name_it():
    assert kind_of(tiff((256, 10)), "DSC_1.NEF") == FileKind(Kind.UNREAD_PICTURE, "camera raw (NEF)")
    assert kind_of(b"PK\3\4", "a.xlsx").name == "Excel document"
    assert kind_of(box(b"avif")).name == "AVIF"


@pytest.mark.parametrize("length", range(0, 64, 7))
def test_a_head_that_is_cut_off_raises_nothing(length):
    for head in (tiff((254, 1), (330, 9)), box(b"mif1", b"heic"), b"RIFF\1\0\0\0WEBP", b"BM" + bytes(60), b"G" * 64):
        assert kind_of(head[:length], "a.jpg").may_be_evidence


def test_a_file_is_read_from_the_disk(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\xd8\xff\xe0")
    assert file_kind(tmp_path / "a").name == "JPEG"
    with pytest.raises(FileNotFoundError):
        file_kind(tmp_path / "missing")


SYSTEM = (
    "Thumbs.db THUMBS.DB .DS_Store desktop.ini ._a.JPG @eaDir #recycle $RECYCLE.BIN __MACOSX .thumbnails .Trash-1000"
)


@pytest.mark.parametrize("name", [*SYSTEM.split(), "System Volume Information", "lost+found", "~$report.docx"])
def test_names_that_systems_make(name):
    assert made_by_system(name)


@pytest.mark.parametrize("name", ["IMG_1.JPG", ".hidden.jpg", "recycle", "thumbs", "@home", "Trash", Path("x").name])
def test_names_that_people_make(name):
    assert not made_by_system(name)
