"""Decides what a file is, by its first bytes, and which names are made by systems and not by people.

A name's suffix counts only where the bytes say nothing: in an empty, damaged or unknown file. The signatures are those
of the formats' specifications, and of the rarer ones those that the command `file` knows.
"""

import importlib.util
import re
import stat
import struct
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path, PurePath

HEAD_BYTES = 4096  # read of each file; every signature below lies within them
OWN = "rarefault's own output"
# Names of kinds that have a remedy of their own.
ICLOUD, SHORTCUT = "placeholder of iCloud", "Windows shortcut"
ZEROS, UNKNOWN = "file of zeros", "file of an unknown format"
OWN_MARK = b"made by rarefault, not by a camera"  # stands near the beginning of heat maps, contact sheets and reports


class Kind(Enum):
    """What can be done with a file."""

    PICTURE = "picture"  # a still image that is read
    VIDEO = "video"
    UNREAD_PICTURE = "unread picture"  # may show something, and cannot be read here
    DOCUMENT = "document"  # an office file, an archive, an e-mail: may hold pictures
    OTHER = "other"  # plainly no evidence: text, sound, programs, indexes


@dataclass(frozen=True)
class FileKind:
    """What a file is: the `kind`, and the `name` of its format as a person says it."""

    kind: Kind
    name: str

    @property
    def may_be_evidence(self) -> bool:
        """Whether the file may show something that nobody has looked at yet."""
        return self.kind is not Kind.OTHER


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split(" "))


SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".insp"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PNM": (".pgm", ".ppm", ".pnm"),
    "HEIC": (".heic", ".heif", ".hif"),
}
"""The suffixes of still images that are read; HEIC where its library is installed."""

IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
VIDEO_SUFFIXES = _words(
    ".mp4 .m4v .mov .qt .avi .divx .mkv .webm .mpg .mpeg .mpe .m2v .vob .ts .mts .m2ts .m2t .tod .mod .wmv "
    ".asf .3gp .3g2 .lrv .lrf .insv .360 .dav .flv .f4v .ogv .mxf .dv .264 .h264 .avc .265 .h265 .hevc .mjpg "
    ".mjpeg"
)
_MOTION_JPEG = (".mjpg", ".mjpeg")  # JPEG files in a row: their first bytes are those of a still picture
_RAW_SUFFIXES = _words(
    ".nef .nrw .cr2 .cr3 .crw .arw .sr2 .srf .dng .orf .rw2 .raf .pef .srw .x3f .3fr .fff .iiq .erf .kdc .dcr "
    ".mef .mos .mrw .rwl .gpr .braw .r3d"
)
_UNREAD_SUFFIXES = _words(
    ".avif .jxl .jp2 .j2k .jpx .jpf .j2c .jxr .wdp .psd .psb .xcf .exr .hdr .tga .pcx .ico .svg "
    ".pbm .pfm .qoi .dcm .fits .fit .seq .csq .irb .is2 .is3 .icns .dds .emf .wmf .bpg"
)
_DOCUMENT_SUFFIXES = _words(
    ".pdf .doc .docx .docm .odt .rtf .pages .xls .xlsx .xlsm .ods .numbers .ppt .pptx .pps .ppsx .odp .odg "
    ".vsd .vsdx .zip .rar .7z .tar .gz .tgz .bz2 .xz .zst .cab .iso .dmg .cbz .epub .xps .djvu .eml .msg .mht "
    ".mhtml .one .lnk .htm .html"
)
# Binary, and about pictures rather than pictures: indexes of cameras, programs, fonts, sound.
_OTHER_SUFFIXES = _words(
    ".xmp .thl .ctg .bdm .cpi .mpl .bnp .inp .int .bup .ifo .gis .db .dll .exe .so .pyc .ttf .otf .woff "
    ".woff2 .mp3 .wav .m4a .aac .ogg .oga .opus .flac .wma .amr .aif .aiff .mid"
)

_SIGNATURES: dict[tuple[int, bytes], tuple[Kind, str]] = {
    (0, b"\xff\xd8\xff"): (Kind.PICTURE, "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n"): (Kind.PICTURE, "PNG"),
    (0, b"GIF87a"): (Kind.PICTURE, "GIF"),
    (0, b"GIF89a"): (Kind.PICTURE, "GIF"),
    (0, b"\x1aE\xdf\xa3"): (Kind.VIDEO, "Matroska or WebM"),
    (0, b"0&\xb2u\x8ef\xcf\x11"): (Kind.VIDEO, "WMV"),
    (0, b"\0\0\1\xba"): (Kind.VIDEO, "MPEG"),
    (0, b"\0\0\1\xb3"): (Kind.VIDEO, "MPEG"),
    (0, b"DHAV"): (Kind.VIDEO, "DAV"),
    (0, b"IMKH"): (Kind.VIDEO, "Hikvision"),
    (0, b"FLV\1"): (Kind.VIDEO, "FLV"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01"): (Kind.VIDEO, "MXF"),
    (0, b"\x1f\x07\x00"): (Kind.VIDEO, "DV"),
    (0, b".RMF"): (Kind.VIDEO, "RealMedia"),
    (0, b"DKIF"): (Kind.VIDEO, "IVF"),
    (0, b"YUV4MPEG2"): (Kind.VIDEO, "YUV4MPEG2"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n"): (Kind.UNREAD_PICTURE, "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51"): (Kind.UNREAD_PICTURE, "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n"): (Kind.UNREAD_PICTURE, "JPEG XL"),
    (0, b"\xff\x0a"): (Kind.UNREAD_PICTURE, "JPEG XL"),
    (0, b"II\xbc\x01"): (Kind.UNREAD_PICTURE, "JPEG XR"),
    (0, b"IIRO"): (Kind.UNREAD_PICTURE, "Olympus raw"),
    (0, b"IIRS"): (Kind.UNREAD_PICTURE, "Olympus raw"),
    (0, b"MMOR"): (Kind.UNREAD_PICTURE, "Olympus raw"),
    (0, b"IIU\0"): (Kind.UNREAD_PICTURE, "Panasonic raw"),
    (0, b"FUJIFILMCCD-RAW"): (Kind.UNREAD_PICTURE, "Fujifilm raw"),
    (6, b"HEAPCCDR"): (Kind.UNREAD_PICTURE, "Canon raw"),
    (0, b"\0MRM"): (Kind.UNREAD_PICTURE, "Minolta raw"),
    (0, b"FOVb"): (Kind.UNREAD_PICTURE, "Sigma raw"),
    (0, b"FFF\0"): (Kind.UNREAD_PICTURE, "FLIR thermal recording"),
    (0, b"8BPS"): (Kind.UNREAD_PICTURE, "Photoshop"),
    (0, b"gimp xcf"): (Kind.UNREAD_PICTURE, "GIMP"),
    (0, b"\x76\x2f\x31\x01"): (Kind.UNREAD_PICTURE, "OpenEXR"),
    (0, b"#?RADIANCE"): (Kind.UNREAD_PICTURE, "Radiance HDR"),
    (0, b"qoif"): (Kind.UNREAD_PICTURE, "QOI"),
    (0, b"icns"): (Kind.UNREAD_PICTURE, "icon"),
    (0, b"\0\0\1\0"): (Kind.UNREAD_PICTURE, "icon"),
    (0, b"DDS "): (Kind.UNREAD_PICTURE, "DDS"),
    (0, b"BPG\xfb"): (Kind.UNREAD_PICTURE, "BPG"),
    (0, b"SIMPLE  ="): (Kind.UNREAD_PICTURE, "FITS"),
    (128, b"DICM"): (Kind.UNREAD_PICTURE, "DICOM"),
    (0, b"\x93NUMPY"): (Kind.UNREAD_PICTURE, "NumPy array"),
    (0, b"\x89HDF\r\n"): (Kind.UNREAD_PICTURE, "HDF5"),
    (0, b"%PDF-"): (Kind.DOCUMENT, "PDF"),
    (0, b"%!PS"): (Kind.DOCUMENT, "PostScript"),
    (0, b"{\\rtf"): (Kind.DOCUMENT, "RTF"),
    (0, b"AT&TFORM"): (Kind.DOCUMENT, "DjVu"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"): (Kind.DOCUMENT, "Office document"),
    (0, b"PK\3\4"): (Kind.DOCUMENT, "ZIP archive"),
    (0, b"PK\7\x08"): (Kind.DOCUMENT, "ZIP archive"),
    (0, b"Rar!\x1a\7"): (Kind.DOCUMENT, "RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c"): (Kind.DOCUMENT, "7z archive"),
    (0, b"\x1f\x8b"): (Kind.DOCUMENT, "gzip archive"),
    (4, b"1AY&SY"): (Kind.DOCUMENT, "bzip2 archive"),
    (0, b"\xfd7zXZ\0"): (Kind.DOCUMENT, "xz archive"),
    (0, b"\x28\xb5\x2f\xfd"): (Kind.DOCUMENT, "zstd archive"),
    (257, b"ustar"): (Kind.DOCUMENT, "tar archive"),
    (0, b"MSCF"): (Kind.DOCUMENT, "cabinet archive"),
    (0, b"L\0\0\0\1\x14\2\0"): (Kind.DOCUMENT, SHORTCUT),
    (0, b"\0\5\x16\7"): (Kind.OTHER, "macOS side file"),
    (0, b"SQLite format 3\0"): (Kind.OTHER, "database"),
    (0, b"\x7fELF"): (Kind.OTHER, "program"),
    (0, b"MZ"): (Kind.OTHER, "program"),
    (0, b"\xcf\xfa\xed\xfe"): (Kind.OTHER, "program"),
    (0, b"ID3"): (Kind.OTHER, "sound"),
    (0, b"fLaC"): (Kind.OTHER, "sound"),
    (0, b"#!AMR"): (Kind.OTHER, "sound"),
    (0, b"MThd"): (Kind.OTHER, "sound"),
    (0, b"bplist00"): (Kind.OTHER, "property list"),
    (0, b"INDX"): (Kind.OTHER, "index of a camera"),
    (0, b"MOBJ"): (Kind.OTHER, "index of a camera"),
    (0, b"HDMV"): (Kind.OTHER, "index of a camera"),
    (0, b"MPLS"): (Kind.OTHER, "index of a camera"),
}

_OFFICE = {".docx": "Word document", ".xlsx": "Excel document", ".pptx": "PowerPoint document"}
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"))
_SYSTEM_NAMES = _words(
    "thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini .ds_store .localized .apdisk .spotlight-v100 "
    ".fseventsd .trashes .trash .temporaryitems .appledouble .documentrevisions-v100 .volumeicon.icns icon\r "
    "__macosx @eadir @tmp @recycle @recently-snapshot .@__thumb .wdmc #recycle #snapshot .snapshot .snapshots "
    "$recycle.bin recycler lost+found .thumbnails .thumbs .xvpics .picasaoriginals .picasa.ini picasa.ini "
    ".nomedia .directory .dropbox .dropbox.cache .dropbox.attr .stfolder .stversions .stignore .sync .git "
    ".svn .hg __pycache__ .ipynb_checkpoints .gvfs .owncloudsync.log .nextcloudsync.log"
) | {"system volume information"}
_SYSTEM_PATTERN = re.compile(
    r"\._|\.trash-\d+$|\.trashed-|\.nfs[0-9a-f]+$|\.fuse_hidden|thumbcache_.*\.db$|~\$|\.~lock\.|\.spare-|\._sync_.*\.db"
)


def made_by_system(name: str) -> bool:
    """Whether a file or folder of this name (one component of a path) is made by a system and not by a person."""
    folded = name.casefold()
    return folded in _SYSTEM_NAMES or _SYSTEM_PATTERN.match(folded) is not None


def file_kind(path: Path) -> FileKind:
    """Return what the file at `path` is; OSError where it cannot be read. Strange content raises nothing.

    A pipe, socket or device is not opened, since it may block for ever; its name decides.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return kind_of(b"", path.name)
    with path.open("rb") as file:
        return kind_of(file.read(HEAD_BYTES), path.name)


def kind_of(head: bytes, name: str = "") -> FileKind:
    """Return what a file is, of its first `HEAD_BYTES` bytes and its name."""
    if name.startswith(".") and name.endswith(".icloud"):  # ".IMG_1.HEIC.icloud" stands for a file left in the cloud
        return FileKind(Kind.UNREAD_PICTURE, ICLOUD)
    suffix = PurePath(name).suffix.lower()
    if OWN_MARK in head:
        return FileKind(Kind.OTHER, OWN)
    found = _by_signature(head, suffix) or _by_container(head, suffix) or _stream(head)
    return found or _promised(head, name) or _text(head) or _unknown(head)


def unread(kind: FileKind) -> str:
    """Return why nobody has looked at a file that may be evidence, and what to do: a predicate of the file."""
    if kind.name == "HEIC":
        return "is HEIC, which a library reads that is not installed: pip install 'rarefault[heic]', or save it as JPEG"
    if kind.name == ICLOUD:
        return "is a placeholder of iCloud: the file itself is not on this disk; download it"
    if kind.name == SHORTCUT:
        return "is a Windows shortcut, which is not followed; give the file or folder that it leads to"
    if kind.name == ZEROS:
        return "holds nothing but zeros: it was not copied whole; copy it again"
    if kind.name == UNKNOWN:
        return "is of an unknown format and was not looked at; if it is a picture or a video, save it as JPEG or MP4"
    article = "an" if kind.name[0] in "AEIOei" else "a"
    if kind.kind is Kind.DOCUMENT:
        return (
            f"is {article} {kind.name}, which may hold pictures and was not looked at; give them as files of their own"
        )
    if kind.kind is Kind.VIDEO:
        return "is a video and not a picture; give it as a video"
    return f"is {article} {kind.name} picture, which is not read; save it as JPEG"


@cache
def reads_heic() -> bool:
    """Whether the library that reads HEIC is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def _by_signature(head: bytes, suffix: str) -> FileKind | None:
    for (place, signature), (kind, name) in _SIGNATURES.items():
        if head.startswith(signature, place):
            if name == "JPEG" and suffix in _MOTION_JPEG:
                return FileKind(Kind.VIDEO, "motion JPEG")
            return FileKind(kind, _OFFICE.get(suffix, name) if name == "ZIP archive" else name)
    return None


def _by_container(head: bytes, suffix: str) -> FileKind | None:
    """Return the kind of a file whose container holds several formats."""
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(head, suffix)
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):  # QuickTime before ISO
        return FileKind(Kind.VIDEO, "QuickTime")
    if head[:4] in (b"RIFF", b"RF64"):
        kinds = {b"WEBP": (Kind.PICTURE, "WebP"), b"AVI ": (Kind.VIDEO, "AVI"), b"WAVE": (Kind.OTHER, "sound")}
        return FileKind(*kinds.get(head[8:12], (Kind.UNREAD_PICTURE, "RIFF file")))
    if head[:4] == b"OggS":
        return FileKind(Kind.VIDEO, "Ogg") if b"theora" in head else FileKind(Kind.OTHER, "sound")
    if (
        head[:2] == b"BM"
        and head[6:10] == b"\0\0\0\0"
        and len(head) > 26
        and head[14] in (12, 40, 52, 56, 64, 108, 124)
    ):
        return FileKind(Kind.PICTURE, "BMP")
    if re.match(rb"P[56]\s+(#.*\n)*\s*\d+\s", head):
        return FileKind(Kind.PICTURE, "PNM")
    if re.match(rb"P[1-7]\s+(#.*\n)*\s*\d+\s", head) or re.match(rb"P[Ff]\n\d+ \d+\n", head):
        return FileKind(Kind.UNREAD_PICTURE, "Netpbm")
    return None


def _iso_media(head: bytes) -> FileKind:
    """Return the kind by the brands of the box `ftyp`: the major one, and those that it is compatible with."""
    size = struct.unpack_from(">I", head)[0]
    major, brands = head[8:12], {head[place : place + 4] for place in range(8, min(size, len(head)), 4)}
    if major == b"crx ":
        return FileKind(Kind.UNREAD_PICTURE, "Canon raw")
    if major in (b"M4A ", b"M4B ", b"M4P "):
        return FileKind(Kind.OTHER, "sound")
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1", b"miaf") and brands & {b"avif", b"avis"}):
        return FileKind(Kind.UNREAD_PICTURE, "AVIF")
    if major in _HEIC_BRANDS or major in (b"mif1", b"msf1", b"miaf", b"mif2"):
        return FileKind(Kind.PICTURE if reads_heic() else Kind.UNREAD_PICTURE, "HEIC")
    return FileKind(Kind.VIDEO, "3GP" if major.startswith(b"3g") else "MOV" if major == b"qt  " else "MP4")


def _tiff(head: bytes, suffix: str) -> FileKind:
    """Return TIFF, or camera raw: those are TIFF files too, whose first picture is only a thumbnail."""
    tags = _tiff_tags(head) if head[2:4] in (b"*\0", b"\0*") else {}  # no camera writes raw as BigTIFF
    mosaic = tags.get(262) in (32803, 34892)  # photometric interpretation: colour filter array, linear raw
    preview = tags.get(254, 0) & 1 == 1 and 330 in tags  # a reduced picture, and the whole one in a sub-directory
    if suffix in _RAW_SUFFIXES or 50706 in tags or mosaic or preview or head[8:10] == b"CR":
        return FileKind(Kind.UNREAD_PICTURE, _raw_name(suffix))
    return FileKind(Kind.PICTURE, "TIFF")


def _tiff_tags(head: bytes) -> dict[int, int]:
    """Return the first directory's tags with their first values, as far as `head` holds them."""
    order = "<" if head.startswith(b"II") else ">"
    tags: dict[int, int] = {}
    try:
        start = struct.unpack_from(order + "I", head, 4)[0]
        for entry in range(struct.unpack_from(order + "H", head, start)[0]):
            tag, kind = struct.unpack_from(order + "HH", head, start + 2 + 12 * entry)
            tags[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), head, start + 10 + 12 * entry)[0]
    except struct.error:  # the directory lies further behind, as in files that programs write
        pass
    return tags


def _raw_name(suffix: str) -> str:
    return f"camera raw ({suffix[1:].upper()})" if suffix in _RAW_SUFFIXES else "camera raw"


def _stream(head: bytes) -> FileKind | None:
    """Return the kind of a stream without a container's header: transport packets, H.264, H.265, MPEG sound."""
    for first, size in ((0, 188), (4, 192), (0, 204)):
        if len(head) > first + 2 * size and all(head[first + n * size] == 0x47 for n in range(3)):
            return FileKind(Kind.VIDEO, "MPEG transport stream")
    start = 4 if head.startswith(b"\0\0\0\1") else 3 if head.startswith(b"\0\0\1") else 0
    if start and len(head) > start and (head[start] & 0x9F in (7, 9) or head[start] in (0x40, 0x42, 0x46)):
        return FileKind(Kind.VIDEO, "H.264 or H.265 stream")
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 in (0xF2, 0xF0):  # not 0xE0: a JPEG without its beginning
        return FileKind(Kind.OTHER, "sound")
    return None


def _promised(head: bytes, name: str) -> FileKind | None:
    """Return what the name promises. A file without content may be a copy that was given up: "IMG_1.jpg.part"."""
    suffixes = PurePath(name.lower()).suffixes[::-1]
    return next(filter(None, map(_by_suffix, suffixes[:1] if any(head) else suffixes)), None)


def _by_suffix(suffix: str) -> FileKind | None:
    for name, suffixes in SUFFIXES.items():
        if suffix in suffixes:
            unread = name == "HEIC" and not reads_heic()
            return FileKind(Kind.UNREAD_PICTURE if unread else Kind.PICTURE, name)
    if suffix in VIDEO_SUFFIXES:
        return FileKind(Kind.VIDEO, suffix[1:].upper())
    if suffix in _RAW_SUFFIXES:
        return FileKind(Kind.UNREAD_PICTURE, _raw_name(suffix))
    if suffix in _UNREAD_SUFFIXES:
        return FileKind(Kind.UNREAD_PICTURE, suffix[1:].upper())
    if suffix in _DOCUMENT_SUFFIXES:
        return FileKind(Kind.DOCUMENT, f"{suffix[1:].upper()} file")
    return FileKind(Kind.OTHER, f"{suffix} file") if suffix in _OTHER_SUFFIXES else None


def _text(head: bytes) -> FileKind | None:
    """Return the kind of a file that a person can read in an editor."""
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(head) > 3 and not any(head[1:64:2]) and all(head[:64:2]))
    if not wide and re.search(rb"[\0-\x08\x0e-\x19\x1c-\x1f]", head):
        return None
    text = head.decode("latin-1").lower()
    if "<svg" in text:
        return FileKind(Kind.UNREAD_PICTURE, "SVG")
    if "<html" in text or "<!doctype html" in text:
        return FileKind(Kind.DOCUMENT, "web page")
    if re.search(r"^mime-version:", text, re.M):
        return FileKind(Kind.DOCUMENT, "e-mail")
    return FileKind(Kind.OTHER, "text" if head else "empty file")


def _unknown(head: bytes) -> FileKind:
    return FileKind(Kind.UNREAD_PICTURE, UNKNOWN if any(head) else ZEROS)
