"""People in a test on real containers: they sign in at Keycloak, and call parties without a certificate."""

import asyncio
import json
import ssl
import tarfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeVar

import httpx

from testkit.browser import Person
from testkit.stack import ATTESTATION, Stack, StackError
from zerotrust.hardening.pools import Connections
from zerotrust.registry.snapshot import Directory, Endpoint
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import user_context
from zt.people.login import Client, Login

SETUP, PASSWORDS = "setup", "/accounts/passwords.json"
"""The service that makes the passwords, and their file."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class User:
    """A person who has signed in."""

    stack: Stack
    name: str
    login: Login = field(repr=False)

    @property
    def token(self) -> str:
        """The access token: that of the first hop, where it is good for nothing without this user's key."""
        return self.login.access_token

    def send(self, party: str, path: str, *, method: str = "POST", **more: Any) -> httpx.Response:
        """Send a request with this user's token and a proof; `more`: as `httpx` has it.  Raises `httpx.HTTPError`."""
        return send(self.stack, party, path, method=method, auth=self.login.auth, **more)


def sign_in(stack: Stack, name: str, scope: str = "", client: str = "") -> User:
    """Sign a person in with the password that was made for these volumes.

    `client`: by default the registry's first client that users sign in with; `scope`: all that it may delegate.
    Raises `LoginError`, `StackError` and `httpx.TransportError`.
    """
    registry, tls = stack.registry, ssl.create_default_context(cadata=authorities(stack))
    client = client or next(name for name, party in registry.parties.items() if party.starts_chains)
    scope = scope or " ".join(registry.parties[client].delegates)
    person, at = Person(name, passwords(stack)[name]), Client(issuer(stack), client, scope, tls)
    redirect = registry.parties[client].redirect_uris[0]
    return User(stack, name, result_of(person.sign_in(at, redirect=redirect)))


def send(  # noqa: PLR0913 - a request, by whom, and to whom
    stack: Stack,
    party: str,
    path: str,
    token: str | None = None,
    *,
    method: str = "POST",
    svid: Svid | None = None,
    **more: Any,
) -> httpx.Response:
    """Send a request to a party, with this certificate, or as a person without one.  Raises `httpx.HTTPError`.

    The connection fails unless the party proves by its own certificate who it is.
    """
    headers = more.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})

    async def request() -> httpx.Response:
        async with http_client(stack, svid) as http:
            return await http.request(method, f"{stack.registry.address(party)}{path}", headers=headers, **more)

    return result_of(request())


def http_client(stack: Stack, svid: Svid | None = None) -> httpx.AsyncClient:
    """Return a client for such requests, for tests that are `async` themselves."""
    pem = authorities(stack)
    person = Connections(directory(stack), None, lambda _, parties: user_context(pem, parties))
    return httpx.AsyncClient(transport=Connections(directory(stack), svid) if svid else person, timeout=60)


def directory(stack: Stack) -> Directory:
    """Return the directory of all parties, each at its published port, or else at its address in the network.

    Docker's own machine, if it has Linux, reaches the networks as well.
    """
    registry, places = stack.registry, dict[str, Endpoint]()
    parties = {registry.dns_name(name): name for name in registry.parties if registry.answers(name)}
    for container in stack.containers().values():
        settings = container.attrs["NetworkSettings"]
        published = [(port["HostIp"], int(port["HostPort"])) for port in settings["Ports"].get("443/tcp") or []]
        for network in settings["Networks"].values():
            for name in parties.keys() & {*(network["Aliases"] or [])}:
                places[name] = published[0] if published else (network["IPAddress"], 443)
    addresses = {registry.address(name): dns_name for dns_name, name in parties.items()}
    return Directory(addresses, {dns_name: registry.id(name) for dns_name, name in parties.items()}, places)


def authorities(stack: Stack) -> str:
    """Return the certificate of the trust domain's authority, in PEM.  Raises `StackError`."""
    return file_of(stack, ATTESTATION, "/public/ca.pem").decode()


def issuer(stack: Stack) -> str:
    """Return the issuer's name."""
    return stack.variables(ATTESTATION)["ZT_ISSUER"]


def passwords(stack: Stack) -> dict[str, str]:
    """Return the passwords that were made for these volumes, by user.  Raises `StackError`."""
    return dict(json.loads(file_of(stack, SETUP, PASSWORDS)))


def file_of(stack: Stack, service: str, path: str, *, may_be_empty: bool = False) -> bytes:
    """Return a file of a container, which may have ended.  Raises `StackError`.

    It runs no `cat`: on a busy machine, Docker sometimes loses what a command prints, and reports no error.
    """
    chunks, _ = stack.container(service).get_archive(path)
    with tarfile.open(fileobj=BytesIO(b"".join(chunks))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        content = file.read() if file else b""
        if not content and not may_be_empty:
            raise StackError(f"{path} of {service} is empty, or no file")
        return content


def result_of(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, also below a test that is `async`: in a thread, with an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
