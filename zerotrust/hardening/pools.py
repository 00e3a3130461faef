"""Connects to other parties by mutual TLS, checks each party by name, and ends connections with their certificates.

It serves httpx and httpx2, which differ only in name.  It uses the TLS of the event loop, which is faster than theirs,
and sends head and body of a request in one record.
"""

import asyncio
import math
import ssl
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2

from zerotrust.registry.snapshot import Directory, Endpoint
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import client_context, outside_context, trust

REUSE_MARGIN = 2
"""Seconds before the end of a connection's certificates from which on no request starts on it."""

REUSED = 0.5
"""Fraction of the lifetime that the certificates of a new connection have left, during which requests are
started on it.  The last request has the rest to complete."""

KEEP_ALIVE = 60
"""Seconds that an idle connection is kept: longer than a pause between calls, and less than the server's (75 s)."""

MAX_CONNECTIONS = 100
"""Connections to all other parties at once, for each certificate; a further call waits for one of them."""

MAX_HEAD = 8 * 1024
"""Bytes of an answer until its head is complete, including those of interim answers before it (1xx), which a peer could
send without end."""

_MOST_AT_ONCE = 1 << 16
"""Bytes of a request that are kept back, to be sent with those that follow."""
_MOST_READ = 8 * 1024
"""Bytes that are parsed at once: what a peer sends after the end of its answer is parsed with the next."""
_PARTIES = ""


Context = Callable[[Any, Mapping[str, str]], ssl.SSLContext]
"""Makes the TLS context for calls to these parties, with an SVID; with None, for a person."""


class _RotatingPool:
    """A pool for each certificate: after a renewal calls use a new pool, and the old one ends with its certificate."""

    _library: ModuleType
    _core: ModuleType

    def __init__(
        self,
        directory: Directory,
        svid: Svid | None,
        context: Context = client_context,
        *,
        suspended: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`suspended` says of a party, by its SPIFFE ID, whether it may not be called now."""
        self._suspended = suspended
        self._context, self._backend = context, _backend(self._core, lambda: self._directory.places)
        self._contexts: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()
        self._ending: dict[Any, asyncio.Task[None]] = {}
        self._directory, self._svid, self._pools = directory, svid, self._new_pools(directory, svid)

    def renew(self, svid: Svid) -> None:
        """Use this SVID for new calls; end the calls to parties whose authority its trust bundle lacks."""
        for context in self._contexts:
            trust(context, svid)
        self._replace(self._directory, svid)

    def use(self, directory: Directory) -> None:
        """Allow new calls to these parties only."""
        self._replace(directory, self._svid)

    def _replace(self, directory: Directory, svid: Svid | None) -> None:
        end = self._svid.not_after if self._svid else 0.0
        for pool in self._pools.values():
            self._ending[pool] = asyncio.create_task(self._end(pool, end))
        self._directory, self._svid, self._pools = directory, svid, self._new_pools(directory, svid)

    def _new_pools(self, directory: Directory, svid: Svid | None) -> dict[str, Any]:
        """Return a pool for all parties, and one for each outside server, by its origin."""
        context = self._context(svid, directory.parties)
        self._contexts.add(context)
        outside = {there: self._pool(outside_context(pin)) for there, pin in directory.outside.items()}
        return {_PARTIES: self._pool(context), **outside}

    def _pool(self, context: ssl.SSLContext) -> Any:
        transport = self._library.AsyncHTTPTransport(verify=context)
        transport._pool = self._core.AsyncConnectionPool(
            ssl_context=context,
            network_backend=self._backend,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
        )
        return transport

    async def _end(self, pool: Any, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.time()))
        await pool.aclose()
        del self._ending[pool]

    async def handle_async_request(self, request: Any) -> Any:
        there = origin(request.url)
        if name := self._directory.names.get(there):
            if self._suspended(self._directory.parties.get(name, "")):
                raise self._library.ConnectError("the party is suspended", request=request)
            request.extensions = {**request.extensions, "sni_hostname": name}
            there = _PARTIES
        elif there not in self._directory.outside:
            raise self._library.ConnectError("no party is registered at this address", request=request)
        answer = await self._pools[there].handle_async_request(request)
        answer.extensions["network_stream"].head_has_come()
        # A client would keep cookies, and send them with the calls of other users, to other parties.
        answer.headers.pop("set-cookie", None)  # control: no-cookies
        # A client would decode a text by whatever codec it names, some of which take the square of its length.
        if "charset" in (kind := answer.headers.get("content-type", "")).lower():
            answer.headers["content-type"] = kind.partition(";")[0]  # control: answer-charset
        return answer

    async def aclose(self) -> None:
        for ending in self._ending.values():
            ending.cancel()
        for pool in (*self._ending, *self._pools.values()):
            await pool.aclose()


class Connections(_RotatingPool, httpx.AsyncBaseTransport):
    """The transport for httpx."""

    _library, _core = httpx, httpcore


class MCPConnections(_RotatingPool, httpx2.AsyncBaseTransport):
    """The transport for httpx2, which the MCP SDK uses."""

    _library, _core = httpx2, httpcore2


def origin(url: httpx.URL | httpx2.URL) -> str:
    """Return scheme, host and port of a URL, the port only if it is not the scheme's default."""
    return f"{url.scheme}://{url.netloc.decode()}"


def _backend(core: Any, places: Callable[[], Mapping[str, Endpoint]]) -> Any:
    """Return the network backend for `core` (httpcore or httpcore2); `places`: see `Directory`."""

    class Stream(core.AsyncNetworkStream):  # type: ignore[misc]
        def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._reader, self._writer = reader, writer
            self._closed = False
            self._unsent: list[bytes] = []
            self._left = sys.maxsize  # bytes that may still come
            self._reused_until = math.inf  # without TLS, which only the lab does, to measure what TLS costs

        async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - its signature
            self._unsent.append(bytes(buffer))
            if sum(map(len, self._unsent)) >= _MOST_AT_ONCE:
                await self._flush(timeout)

        async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
            await self._flush(timeout)  # a read follows each request, so nothing stays unsent
            if self._closed:  # a pool ends with its certificate, whatever is under way
                raise core.ReadError("the connection is closed")
            if not self._left:
                raise core.RemoteProtocolError("the head of the answer is too large")
            with _raising_as(core.ReadTimeout, core.ReadError):
                async with asyncio.timeout(timeout):
                    data = await self._reader.read(min(max_bytes, _MOST_READ, self._left))
            self._left -= len(data)
            return data

        def head_has_come(self) -> None:
            """Stop bounding what is read: the body follows, which `limits/answers.py` bounds."""
            self._left = sys.maxsize

        async def _flush(self, seconds: float | None) -> None:
            if not self._unsent:
                return
            if self._closed:
                raise core.WriteError("the connection is closed")
            data, self._unsent = b"".join(self._unsent), []
            self._left = MAX_HEAD  # control: answer-head
            with _raising_as(core.WriteTimeout, core.WriteError):
                self._writer.write(data)
                async with asyncio.timeout(seconds):
                    await self._writer.drain()

        async def aclose(self) -> None:
            if self._closed:
                return
            if tls := self._writer.get_extra_info("ssl_object"):
                tls.unwatch()
            self._writer.transport.abort()  # a peer that does not close its end keeps nothing open here
            # httpx's response refers to itself and to this stream, so both wait for the garbage collector, which runs
            # seldom.  The 260 KiB of TLS buffers need not wait.
            self._closed = True
            del self._reader, self._writer

        def _abort(self) -> None:  # with an error: without it, an answer that ends with the connection would look whole
            self._reader.set_exception(ssl.SSLCertVerificationError("a certificate has expired, or is not trusted"))
            self._writer.transport.abort()

        async def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str, timeout: float | None) -> Any:  # noqa: ASYNC109
            with _raising_as(core.ConnectTimeout, core.ConnectError):
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            now, until = time.time(), self._writer.get_extra_info("ssl_object").watch(self._abort).until
            self._reused_until = min(now + (until - now) * REUSED, until - REUSE_MARGIN)
            return self

        def get_extra_info(self, info: str) -> Any:
            if self._closed:
                return True if info == "is_readable" else None
            if info == "is_readable":  # the pool's question before it uses a connection again: has it ended?
                ended = self._reader.at_eof() or self._writer.transport.is_closing()
                return ended or self._reused_until <= time.time()
            return self._writer.get_extra_info(info)

    class Backend(core.AsyncNetworkBackend):  # type: ignore[misc]
        async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **_: Any) -> Any:  # noqa: ASYNC109
            with _raising_as(core.ConnectTimeout, core.ConnectError):
                async with asyncio.timeout(timeout):
                    return Stream(*await asyncio.open_connection(*places().get(host, (host, port))))

    return Backend()


@contextmanager
def _raising_as(timeout: type[Exception], failure: type[Exception]) -> Any:
    """Raise the library's own errors; an expired certificate is an `OSError`, too."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise failure(str(error)) from error
