"""List what lies below a place on a store, page by page, so that a million names need no memory of their own."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from augment.stores.connection import FileSystem, open_store

PAGE = 1000  # names; what S3 gives at once
LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


@dataclass(frozen=True)
class StoredFile:
    """A file on a store: its path below the place that was listed, and what tells whether it has changed."""

    path: str
    size: int  # bytes
    mark: str  # the store's own mark of the content (ETag), or else when it was changed


def pages(url: str, page: int = PAGE) -> Iterator[list[StoredFile]]:
    """Yield all files below `url`, `page` of them at a time from S3, and folder by folder from others.

    FileNotFoundError where there is no such bucket or folder, and nothing where an object store has none of that
    prefix. What libraries raise comes through: see `store_errors`.
    """
    system, root = open_store(url)
    if "s3" in protocols(system):
        yield from _keys_of_s3(system, root, page)
    else:
        yield from _files_of_folders(system, root)


def name_problem(path: str) -> str:
    """Return why a name of a store can be no path below a folder; "" where it can."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or set(path) & {"\\", "\0"}:
        return "has a name that is no path of a file (empty parts, ..., or backslashes); rename it on the store"
    if any(len(part.encode()) > LONGEST_NAME for part in parts):
        return f"has a name of more than {LONGEST_NAME} bytes; rename it on the store"
    return ""


def _keys_of_s3(system: FileSystem, root: str, page: int) -> Iterator[list[StoredFile]]:
    """Ask S3 for its pages ourselves: fsspec's own calls hold every name (some kilobyte each) before they return."""
    bucket, key, _ = system.split_path(root)
    prefix = f"{key}/" if key else ""
    further: dict[str, str] = {}
    while True:
        answer = system.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=page, **further)
        yield [
            StoredFile(entry["Key"][len(prefix) :], entry["Size"], entry["ETag"].strip('"'))
            for entry in answer.get("Contents", ())
            if not entry["Key"].endswith("/")  # a marker by which some programs make folders visible
        ]
        if not answer.get("IsTruncated"):
            return
        further = {"ContinuationToken": answer["NextContinuationToken"]}


def _files_of_folders(system: FileSystem, root: str) -> Iterator[list[StoredFile]]:
    """Walk through folders; links to folders are not followed, since they can form loops."""
    waiting = [root]
    while waiting:
        folder, files = waiting.pop(), []
        for entry in system.ls(folder, detail=True):
            if entry["type"] == "directory":
                waiting.append(entry["name"])
                continue
            if entry["type"] == "link":
                entry = {**system.info(entry["name"]), "name": entry["name"]}
            if entry["type"] == "file":
                files.append(StoredFile(posixpath.relpath(entry["name"], root), entry["size"], _mark(entry)))
        yield files


def _mark(entry: dict[str, Any]) -> str:
    keys = ("ETag", "etag", "md5Hash", "content_md5", "generation", "mtime", "updated", "last_modified", "LastModified")
    return next((str(entry[key]) for key in keys if entry.get(key) is not None), "")


def protocols(system: FileSystem) -> tuple[str, ...]:
    """Return the names that fsspec knows a kind of file system by."""
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
