"""Owns what stands between a store of objects and its server in tests: a proxy that counts requests and spoils some."""

import threading
import time
from collections.abc import Callable
from hashlib import sha256
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    """A request: the SHA-256 that it was signed with, and that of what it brought."""

    method: str
    path: str
    signed: str
    sha256: str


class Faults(ThreadingHTTPServer):
    """A proxy before a server, which does something to the N-th request, or to all from then on.

    It may be something else that `strike` does, before the request is passed on or, as "strike after", after that.
    """

    daemon_threads = True

    def __init__(self, behind: int, port: int = 0, strike: Callable[[], Any] | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Passing)
        self.strike = strike
        self.behind, self.at, self.kind, self.lasting, self.count = behind, 0, "", False, 0
        self.log: list[Request] = []
        self._held = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def begin(self, at: int = 0, kind: str = "", *, lasting: bool = False) -> None:
        """Count from 1 again."""
        self.log.clear()
        self.at, self.kind, self.lasting, self.count = at, kind, lasting, 0

    def fault(self) -> str:
        """Return what is to happen to the next request; nothing for most."""
        with self._held:
            self.count += 1
            return self.kind if self.count == self.at or (self.lasting and 0 < self.at < self.count) else ""

    @property
    def struck(self) -> bool:
        """Whether the request to which something is done has come."""
        return 0 < self.at <= self.count

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that are gone."""


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which would wait for 40 ms before the last part of an answer
    server: Faults

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        signed = self.headers.get("x-amz-content-sha256", "")
        self.server.log.append(Request(self.command, self.path, signed, sha256(body).hexdigest()))
        fault = self.server.fault()
        self.close_connection = bool(fault)
        if fault == "strike" and self.server.strike:
            self.server.strike()
        if fault == "reset":
            return
        if fault == "hang":
            time.sleep(3)
            return
        if fault.isdigit():
            self._answer(int(fault), {}, b"<Error><Code>Whatever</Code></Error>")
            return
        behind = HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        if fault == "lost answer":
            return
        if fault == "strike after" and self.server.strike:
            self.server.strike()
        self._answer(answer.status, dict(answer.headers), content, cut=fault == "cut")

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = headers.get("Content-Length", str(len(content)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 (as the library calls them)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def objects(bucket: Any, prefix: str = "out/") -> dict[str, bytes]:
    """Return all objects below a prefix by name."""
    listed = bucket.list_objects_v2(Bucket="bkt", Prefix=prefix).get("Contents", [])
    keys = [entry["Key"] for entry in listed]
    return {key.removeprefix(prefix): bucket.get_object(Bucket="bkt", Key=key)["Body"].read() for key in keys}
