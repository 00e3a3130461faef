"""docs/how-to/delegation-kit.md: what it says to type is typed here, with the wheel, at an issuer that is right."""

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.support.delegation import CHECKS, Fake
from tests.support.system import ROOT
from tests.support.wheel import Install

PAGE = (ROOT / "docs" / "how-to" / "delegation-kit.md").read_text()


@pytest.fixture
def address() -> Iterator[str]:
    """Where an issuer that is right is served."""
    fake = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = fake.handle(httpx.Request(self.command, self.path, content=body, headers=dict(self.headers)))
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST  # noqa: N815 - as http.server calls it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield fake.address
        server.shutdown()


def test_a_stranger_types_it_off_and_is_told_what_is_not_tried(install: Install, tmp_path: Path, address: str) -> None:
    example = PAGE.partition("```python\n")[2].partition("```")[0].replace("https://sso.example", address)
    (tmp_path / "my_issuer.py").write_text(example)
    command = [str(install("", "pytest") / "pytest"), "-rs", "--pyargs", "testkit.delegation"]
    known = {**os.environ, "SECRET_A": "of a", "SECRET_B": "of b", "PASSWORD": "secret"}

    def run(*more: str) -> str:
        done = subprocess.run([*command, *more], cwd=tmp_path, env=known, capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout + done.stderr

    told = run("--delegation", "my_issuer.py")
    assert f"{len(CHECKS) - 6} passed, 6 skipped" in told, told
    for missing in (
        "the way to revoke a session is not configured",
        "the way to revoke a user is not configured",
        "a third client is needed",
    ):
        assert missing in told
    assert "no issuer is named: add --delegation FILE" in run()
