"""Signs a person in in their own browser (RFC 8252): a listener on the loopback interface receives the redirect.

The password is typed into Keycloak's page and nowhere else.  Anybody on this machine, and any page in the browser, can
send the listener requests: only a request that carries our `state` counts.
"""

import asyncio
import html
import os
import socket
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from zt.people.login import Client, Login, LoginError, Request, Say, endpoints

PATH = "/callback"
"""The path of the redirect; Keycloak accepts any port with it (RFC 8252 section 7.3)."""
SECONDS_TO_SIGN_IN = 120
"""Until the redirect: a person has to type a password."""
SECONDS_TO_ASK = 5
"""For the head of a request to the listener; the browser is on this machine."""
MAX_HEAD = 8192
"""Bytes of it; the redirect's has about 1 KiB."""
MOST_CONNECTIONS = 128
"""To the listener at once; of more, the oldest is closed."""
ACCEPTED_AT_ONCE = 8
"""In one turn of the event loop.  A request is answered a few turns after its connection, so however many others come,
it is answered before its connection is the oldest."""

_PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>zt</title><body style="font-family: sans-serif"><p>{}</p>
"""
_GO_ON = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={0}"><title>zt</title><a href="{0}">Sign in at Keycloak</a>
"""
_RECEIVED = "Received. You may close this window: go on in the terminal."
_REFUSED = "Not signed in. You may close this window: the terminal says why."
_ANSWERS = {200: _RECEIVED, 400: "This answers no sign-in that was asked for here.", 403: _REFUSED, 404: "Not found."}


def is_usable() -> bool:
    """Return whether a browser can be opened here that shares this machine's loopback interface.

    A browser in the terminal counts only if `BROWSER` names it: it would take the terminal away from us.
    """
    if os.environ.get("BROWSER"):
        return True
    if "SSH_CONNECTION" in os.environ:  # the person is elsewhere
        return False
    if sys.platform == "linux" and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def open_page(address: str) -> None:
    """Open an address in the person's browser (`BROWSER`, or the usual one).

    In a process of its own: a browser may go on for as long as it likes, and what it prints is no output of ours.
    """
    command = [sys.executable, "-I", "-S", "-c", "import sys, webbrowser; webbrowser.open(sys.argv[1])", address]
    _opened.append(subprocess.Popen(command, stdout=2))  # noqa: S603 - this interpreter


_opened: list[subprocess.Popen[bytes]] = []
"""Kept, because no task awaits them."""


async def sign_in(client: Client, *, say: Say, hint: str = "", opened: Callable[[str], None] = open_page) -> Login:
    """Sign a person in, and return the tokens.

    `hint`: whose name the form shows; `opened`: opens a page that leads there, for as long as this function runs.
    Raises `LoginError`, `httpx.HTTPError` and `OSError`.
    """
    async with client.http() as http, _listening() as listener:
        metadata = await endpoints(client, http, "authorization_endpoint", "token_endpoint")
        request = Request(client=client, redirect=listener.redirect, hint=hint)
        code = listener.expect(request)
        address = request.address(metadata)
        text = (
            f"Sign in at Keycloak in the browser, within {SECONDS_TO_SIGN_IN} s.  "
            f"If it shows no such page, open: {address}"
        )
        say(text, {"sign_in": "browser", "uri": address, "expires_in": SECONDS_TO_SIGN_IN})
        with _leading_to(address) as page:
            opened(page)  # control: sign-in-address-in-file
            try:
                async with asyncio.timeout(SECONDS_TO_SIGN_IN):
                    redeemable = await code
            except TimeoutError as error:
                why = f"no sign-in within {SECONDS_TO_SIGN_IN} s.  `zt --device` signs in by a code, also elsewhere"
                raise LoginError(why) from error
        return await request.redeem(http, metadata, redeemable)


@contextmanager
def _leading_to(address: str) -> Iterator[str]:
    """Give the address of a page that leads to `address`, for as long as the block runs.

    It is a file that only this account can read: all accounts can read the arguments of a browser, and who knows our
    `state` can answer in Keycloak's place.
    """
    with tempfile.TemporaryDirectory(prefix="zt-") as folder:  # mode 0700
        page = Path(folder) / "sign-in.html"
        page.touch(0o600)
        page.write_text(_GO_ON.format(html.escape(address)))
        yield page.as_uri()


class Listener:
    """Waits for the one redirect that answers a request.  Whatever else comes is refused, and changes nothing."""

    def __init__(self, redirect: str) -> None:
        self.redirect = redirect
        self._request: Request | None = None
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._open: list[asyncio.StreamWriter] = []

    def expect(self, request: Request) -> asyncio.Future[str]:
        """Return the code to come; it fails with `LoginError` if the redirect brings none."""
        self._request = request
        return self._code

    def close(self) -> None:
        """End the connections that are left: the answer to the redirect is out by now."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self._open.append(writer)
        if len(self._open) > MOST_CONNECTIONS:
            self._open.pop(0).transport.abort()
        try:
            async with asyncio.timeout(SECONDS_TO_ASK):
                status = self._answer(await reader.readuntil(b"\r\n\r\n"))
                page = _PAGE.format(_ANSWERS[status]).encode()
                head = (
                    f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\nContent-Type: text/html\r\n"
                    f"Content-Length: {len(page)}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
                    "Connection: close\r\n\r\n"
                )
                writer.write(head.encode() + page)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # it was no browser
        finally:
            if writer in self._open:
                self._open.remove(writer)
            writer.close()

    def _answer(self, head: bytes) -> int:
        """Return the status for a request, and take the code if it has ours."""
        method, _, rest = head.decode("latin-1").partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        if method != "GET" or path != PATH or not self._request or self._code.done():
            return 404
        try:
            code = self._request.code(query)
        except LoginError as error:
            self._code.set_exception(error)
            return 403
        if code is None:
            return 400
        self._code.set_result(code)
        return 200


@asynccontextmanager
async def _listening() -> AsyncIterator[Listener]:
    """Listen at a free port of the loopback interface, and nowhere else, for as long as the block runs."""
    taken = socket.create_server(("127.0.0.1", 0))
    listener = Listener(f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}")
    server = await asyncio.start_server(listener.serve, sock=taken, limit=MAX_HEAD, backlog=ACCEPTED_AT_ONCE)
    try:
        yield listener
    finally:
        server.close()
        listener.close()
        await server.wait_closed()
