"""The walkthrough in containers: `docker compose run --rm walkthrough`.

With `passwords`, it prints the people's passwords instead; with `token alice`, an access token of alice.

It reaches Keycloak by `ZT_ISSUER_AT`, under the name that a browser on the machine uses.  It is no party and has no
identity.  It reads the parties' journals, which no party lets another one read.
"""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from demo.checks import ALLOWED, Attempt, Checks
from demo.intruder import answer_to
from demo.parts import INTRODUCTION, begin, paragraph
from demo.receipts import show_receipts
from demo.refusals import attempts_of_users, no_identity
from demo.revocation import operator
from demo.rule_change import show_rule_change
from demo.story import tell_story
from demo.walk import LEGEND, show_the_rest
from demo.who import show_who_is_who
from local.manual_steps import REQUEST
from local.program import console, until_stopped
from local.system import EVERYTHING, ROOT
from zerotrust.audit.chain import events
from zerotrust.audit.event import AuditEvent
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.directory import Directory
from zerotrust.registry.model import Registry, load_registry
from zerotrust.registry.snapshot import deployed_at
from zerotrust.testing.browser import Person, sign_in
from zt.client import user_client
from zt.errors import CommandError
from zt.login import Login
from zt.sign_in import client_at, sign_in_at

CA, PASSWORDS, JOURNALS = Path("/public/ca.pem"), Path("/accounts/passwords.json"), Path("/journals")
ISSUER = os.environ.get("ZT_ISSUER", "https://localhost:8443/realms/agents")
NEXT = (
    ("docs/learn/walkthrough.md", "this output, explained"),
    ("docs/how-to/containers.md", "the containers, and what to try by hand"),
    ("make attacks-compose", "tries attacks from inside the containers"),
    ("docker compose down -v", "removes it all"),
)
MORE = "What needs an intruder inside a workload is shown by `make demo` and `make attacks-compose`."


@dataclass(frozen=True)
class Stack:
    """The running containers, as the walkthrough meets them."""

    accounts: Mapping[str, str] = field(repr=False)
    """The passwords of the people, by their names."""
    registry: Registry = field(default_factory=lambda: load_registry(ROOT / "registry.yaml"), kw_only=True)

    @property
    def ca_file(self) -> Path:
        """The certificate that all parties' certificates are of, and Keycloak's."""
        return CA

    def address(self, name: str) -> str:
        """Return a party's origin."""
        return self.registry.address(name)

    @property
    def directory(self) -> Directory:
        """The parties that can be called, with their addresses and names."""
        deployment = load_deployment(ROOT / "deploy" / "containers.yaml", self.registry)
        return deployed_at(deployment, self.registry, approved={}).directory()

    def user(self) -> httpx.AsyncClient:
        """Return the HTTP client of a person, without a certificate."""
        return user_client(self.directory, CA)

    async def sign_in(self, user: str, scope: str = EVERYTHING, client: str = "walkthrough") -> Login:
        """Sign a user in at a public client.  Raises `LoginError` and `httpx.TransportError`."""
        tls = ssl.create_default_context(cafile=CA)
        return await sign_in(ISSUER, client, user, self.accounts[user], scope, verify=tls)

    def journal(self, name: str) -> Path:
        """Return the path of a party's journal."""
        return JOURNALS / name.replace("/", "-") / "journal.jsonl"

    def events(self, name: str) -> list[AuditEvent]:
        """Return the events of a party's journal."""
        return list(events(self.journal(name)))


def passwords() -> dict[str, str]:
    """Return the passwords that were made for these volumes, by user."""
    return dict(json.loads(PASSWORDS.read_bytes()))


async def walkthrough() -> int:
    """Tell the story, try what people can try, and revoke an agent.  Return the exit status."""
    system, checks = Stack(passwords()), Checks()
    paragraph(INTRODUCTION)
    show_who_is_who(system.registry)
    await tell_story(system, checks)
    begin("What is refused", f"What people and programs without an identity can try. {LEGEND}")
    await checks.all(_refused(system))
    paragraph(MORE)
    async with system.user() as http:
        await show_rule_change(system, checks, lambda: _task(system, http))
    begin("Suspension", f"An operator suspends the reader, and reinstates it. {LEGEND}")
    await checks.all(_revoked(system))
    await show_receipts(system, checks)
    begin("The end")
    console.print(checks.close())
    show_the_rest("docker compose exec reader cat /data/journal.jsonl", "docker compose logs", NEXT)
    return 1 if checks.failed else 0


async def _refused(system: Stack) -> AsyncIterator[Attempt]:
    async for attempt in attempts_of_users(system):
        # From here, as from outside, no network leads to the tool or to an agent: TLS does not even begin.
        yield replace(attempt, control="the networks") if attempt.control == "mutual TLS" else attempt
    yield await no_identity(os.environ["SPIFFE_ENDPOINT_SOCKET"], ISSUER)


async def _revoked(system: Stack) -> AsyncIterator[Attempt]:
    """Suspend the reader, as an operator, and reinstate it."""
    async with system.user() as http:
        olga = await operator(system, http)
        await olga.suspend("agent/reader", "the walkthrough shows it")
        try:
            answered = await _task(system, http)
        finally:
            await olga.reinstate("agent/reader")
        who, control = "alice, with the reader suspended", "registry: revocation"
        yield Attempt(who, "runs a task", control, "403 peer_revoked", answered)
        yield Attempt("alice, with the reader reinstated", "runs a task", ALLOWED, "200 ok", await _task(system, http))


async def _task(system: Stack, http: httpx.AsyncClient) -> str:
    """Have alice's task run.  Return the answer."""
    headers = {"authorization": f"Bearer {(await system.sign_in('alice')).access_token}"}
    return await answer_to(
        http.post(f"{system.address('orchestrator')}/tasks", json={"request": REQUEST}, headers=headers, timeout=60)
    )


def _print_token(user: str) -> int:
    """Print an access token of a user, or a sentence that says why there is none.  Return the exit status."""
    accounts = passwords()
    try:
        if user not in accounts:
            raise CommandError(f"There is no {user}: the people are {', '.join(sorted(accounts))}.", "unknown_user")
        at = client_at(ISSUER, "walkthrough", EVERYTHING, ca=CA)
        login = asyncio.run(sign_in_at(at, Person(user, accounts[user]).sign_in))
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    print(login.access_token)
    return 0


def main() -> int:
    """Run the command line."""
    if sys.argv[1:] == ["passwords"]:
        for user, password in passwords().items():
            print(f"{user:<8} {password}")
        return 0
    match sys.argv[1:]:
        case ["token", user]:
            return _print_token(user)
        case [_, *_]:
            print("Usage: docker compose run --rm walkthrough [passwords | token USER]", file=sys.stderr)
            return 2
    return until_stopped(walkthrough())


if __name__ == "__main__":
    sys.exit(main())
