"""A model hub on the loopback interface, as far as the hub's own client needs one to download: lists, heads, files.

Every repository is a folder, and has one commit. `gated` ones answer as the hub does where consent is missing.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def serve(folders: Mapping[str, tuple[str, Path]], gated: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve `folders` (repository -> its commit and its folder); yields the address for HF_ENDPOINT."""
    files = {
        name: {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        for name, (_, folder) in folders.items()
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            api = path.startswith("/api/models/")
            name = "/".join(path.removeprefix("/api/models").split("/")[1:3])
            rest = path.partition(name)[2].strip("/").split("/")
            if name in gated:
                self._refuse(403, "GatedRepo")
            elif name not in files:
                self._refuse(404, "RepoNotFound")
            elif len(rest) > 1 and rest[1] not in (folders[name][0], "main"):
                self._refuse(404, "RevisionNotFound")
            elif api:
                self._send(json.dumps(self._listed(name, rest)).encode(), {}, with_body)
            elif (found := files[name].get("/".join(rest[2:]))) is None:
                self._refuse(404, "EntryNotFound")
            else:
                content = found.read_bytes()
                headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": folders[name][0]}
                self._send(content, headers, with_body)

        def _listed(self, name: str, rest: list[str]) -> object:
            found = files[name]
            if rest[0] == "tree":
                return [
                    {"type": "file", "path": entry, "size": path.stat().st_size, "oid": "0" * 40}
                    for entry, path in found.items()
                ]
            siblings = [{"rfilename": entry, "size": path.stat().st_size} for entry, path in found.items()]
            return {"id": name, "modelId": name, "sha": folders[name][0], "siblings": siblings, "private": False}

        def _refuse(self, code: int, why: str) -> None:
            self._send(b"{}", {"X-Error-Code": why, "X-Error-Message": why}, self.command == "GET", code)

        def _send(self, content: bytes, headers: Mapping[str, str], with_body: bool, code: int = 200) -> None:
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
