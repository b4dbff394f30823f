"""What the demo does as its own operator: log in to the page, and tell the station that a camera is being worked on."""

import http.cookiejar
import re
import urllib.parse
import urllib.request

from edge_runtime.bundle.errors import UnavailableError

SECONDS = 10.0  # for one answer


class Operator:
    """Uses the station's page at `address`, such as http://127.0.0.1:9465, as a person in a browser does."""

    def __init__(self, address: str, name: str, password: str) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._browser = urllib.request.build_opener(cookies)
        self._address = address.rstrip("/")
        self.send("/login", "/login", name=name, password=password)

    def read(self, path: str) -> str:
        """Return the page at `path`; OSError where it is refused."""
        with self._browser.open(f"{self._address}{path}", timeout=SECONDS) as answer:
            return str(answer.read().decode())

    def send(self, form: str, path: str, **fields: str) -> str:
        """Send `fields` to `path` with the token of the page `form`, and return the page that it leads to."""
        token = re.search(r'name="csrf" value="([\w-]+)"', self.read(form))
        if token is None:
            raise UnavailableError(f"the page {form} of the demo's station has no form; see the station's log")
        body = urllib.parse.urlencode({"csrf": token[1], **fields}).encode()
        with self._browser.open(f"{self._address}{path}", body, timeout=SECONDS) as answer:
            return str(answer.read().decode())
