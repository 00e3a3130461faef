"""The walkthrough in containers: `docker compose run --rm walkthrough`.

With `passwords`, it prints the people's passwords instead; with `token alice`, her access token and its key; with
`task`, the answer to her task; with `attempts`, on `start/compose.intruders.yaml`, it makes those of intruders inside
three genuine containers.

It reaches Keycloak by `ZT_ISSUER_AT`, under the name that a browser on the machine uses.  It is not a party and has no
identity.  It reads the parties' journals, which no party lets another one read.
"""

import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urljoin

import httpx

from demo.again import insist, until_settled
from demo.checks import ALLOWED, Attempt, Checks
from demo.intruder import answer_to
from demo.participants import show_receipts
from demo.parts import INTRODUCTION, begin
from demo.refusals import ask_for_identity, attempts, attempts_of_users
from demo.revocation import sign_in_olga
from demo.rule_change import show_rule_change
from demo.story import WAIT, tell_story
from demo.walk import LEGEND, show_next_steps, summary, walk, who_is_who
from start.manual_steps import REQUEST
from start.program import paragraph, run_until_stopped
from start.sign_in import print_token
from start.system import ROOT, Running
from testkit.browser import Person
from zerotrust.authority.files.deployment import Deployment, load_deployment
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.issuer.discovery import Metadata, discover
from zerotrust.registry.model import Registry
from zt.people.login import Login, issuer_http

CA, PASSWORDS = Path("/public/ca.pem"), Path("/accounts/passwords.json")
JOURNALS, INTRUDERS = Path("/journals"), Path("/intruders")
DEPLOYMENT = Path(os.environ.get("ZT_DEPLOYMENT", ROOT / "start" / "generated" / "containers.yaml"))
ISSUER = os.environ.get("ZT_ISSUER", "https://localhost:8443/realms/agents")
NEXT = (
    ("docs/learn/walkthrough.md", "this output, explained"),
    ("docs/how-to/containers.md", "the containers, and what to try by hand"),
    ("make attacks-compose", "tries attacks from inside the containers"),
    ("docker compose down -v", "removes all of it but the images"),
)
ON_KUBERNETES = (
    ("docs/learn/walkthrough.md", "this output, explained"),
    ("docs/how-to/kubernetes.md", "the pods, and what to try by hand"),
    ("make kubernetes-down", "removes all of it"),
)
PAGE = "the console, in a browser; passwords: docker compose run --rm walkthrough passwords"
MORE = "`make demo` and `make attacks-compose` also try what needs an intruder inside a workload."


@dataclass(frozen=True)
class Realm:
    """The realm, as its clients reach it."""

    metadata: Metadata
    passwords: dict[str, str] = field(repr=False)
    """Those of the people, by their names."""
    issuer: str = ISSUER

    @property
    def tls(self) -> ssl.SSLContext:
        """The TLS context that trusts its certificate."""
        return ssl.create_default_context(cafile=CA)


@dataclass(frozen=True)
class Containers(Running):
    """The running containers; on `start/compose.intruders.yaml`, with intruders in three of them."""

    registry: Registry
    deployment: Deployment
    keycloak: Realm

    @property
    def ca_file(self) -> Path:
        return CA

    @property
    def endpoint(self) -> str:
        return os.environ["SPIFFE_ENDPOINT_SOCKET"]

    def journal(self, name: str) -> Path:
        return JOURNALS / name.replace("/", "-") / "journal.jsonl"

    def insider_socket(self, name: str) -> Path:
        return INTRUDERS / name.replace("/", "-") / "intruder.sock"


def passwords() -> dict[str, str]:
    """Return the passwords that were made for these volumes, by user."""
    return dict(json.loads(PASSWORDS.read_bytes()))


async def connect(accounts: dict[str, str]) -> Containers:
    """Return the running containers; `accounts` has the users' passwords.

    Raises `httpx.HTTPError` if Keycloak does not answer.
    """
    async with issuer_http(ssl.create_default_context(cafile=CA)) as http:
        realm = Realm(await discover(ISSUER, http, "token_endpoint"), accounts)
    registry = load_registry(ROOT / "registry.yaml")
    return Containers(registry, load_deployment(DEPLOYMENT, registry), realm)


async def refusals_to_people(system: Running, checks: Checks) -> None:
    """Attempts of people and programs without an identity are refused."""

    async def trying() -> AsyncIterator[Attempt]:
        async for attempt in attempts_of_users(system):
            # From here, as from outside, no network leads to the tool or to an agent: TLS does not even begin.
            yield replace(attempt, control="the networks") if attempt.control == "mutual TLS" else attempt
        yield await ask_for_identity(system.endpoint, system.keycloak.issuer)

    begin("What is refused", f"Attempts of people and of programs without an identity. {LEGEND}")
    await checks.make_all(trying())
    paragraph(MORE)


async def rule_change(system: Running, checks: Checks) -> None:
    """A rule that decides the next call."""
    async with system.user() as http:
        await show_rule_change(system, checks, lambda: _run_task(system, http))


async def suspension(system: Running, checks: Checks) -> None:
    """A party that is suspended, by an operator, and reinstated."""

    async def trying() -> AsyncIterator[Attempt]:
        async with system.user() as http:
            olga, alice = await sign_in_olga(system, http), await system.sign_in("alice")
            began = time.monotonic()
            try:
                await insist(lambda: olga.suspend("agent/reader", "the walkthrough shows it"))
                answered = await until_settled(lambda: answer_to(_task(system, http, alice)))
                refused = time.monotonic() - began
            finally:
                olga = await sign_in_olga(system, http)
                await insist(lambda: olga.reinstate("agent/reader"))
            paragraph(f"alice's task was refused {refused * 1000:.0f} ms after the operator's command was sent.")
            who, control = "alice, with the reader suspended", "registry: revocation"
            yield Attempt(who, "runs a task", control, "403 peer_revoked", answered)
            who = "alice, with the reader reinstated"
            answered = await until_settled(lambda: _run_task(system, http), "403 peer_revoked")
            yield Attempt(who, "runs a task", ALLOWED, "200 ok", answered)

    begin("Suspension", f"An operator suspends the reader, and reinstates it. {LEGEND}")
    await checks.make_all(trying())


async def _run_task(system: Running, http: httpx.AsyncClient) -> str:
    """Have alice's task run.  Return how it was answered."""
    return await answer_to(_task(system, http, await system.sign_in("alice")))


async def _task(system: Running, http: httpx.AsyncClient, alice: Login) -> httpx.Response:
    url = f"{system.address('orchestrator')}/tasks"
    return await http.post(url, json={"request": REQUEST}, auth=alice.auth, timeout=WAIT)


async def _show_task() -> int:
    """Have alice's task run; print what each agent did and was refused, or the refusal of the task.  Return 0."""
    system = await connect(passwords())
    async with system.user() as http:
        answer = await _task(system, http, await system.sign_in("alice"))
    said = answer.json()
    print(f"alice: {REQUEST}\n{answer.status_code}", *(said[name] for name in ("reason", "agent") if name in said))
    for step in said.get("steps", ()):
        if step["event"] == "done":
            print(f"\n{step['agent']}: {step['text']}", *(f"- {one}" for one in step["refused"]), sep="\n")
    return 0


async def next_steps(system: Running, _checks: Checks) -> None:
    """Where the records are, and what to try next."""
    parties = system.registry.parties
    pages = [(urljoin(uri, "/"), PAGE) for name in system.registry.services for uri in parties[name].redirect_uris]
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        as_group = "--as=me --as-group=system:masters --as-group=zero-trust:break-glass"
        records = f"kubectl exec -n zero-trust deploy/agent-reader {as_group} -- cat /data/journal.jsonl"
        show_next_steps(records, "kubectl logs -n zero-trust deploy/agent-reader", ON_KUBERNETES)
    else:
        show_next_steps("docker compose exec reader cat /data/journal.jsonl", "docker compose logs", (*pages, *NEXT))


async def refusals_to_intruders(system: Running, checks: Checks) -> None:
    """Attempts of intruders inside three containers are refused."""
    begin("What is refused", f"Attempts of intruders inside three genuine containers. {LEGEND}")
    await checks.make_all(attempts(system))


PARTS = (who_is_who, tell_story, refusals_to_people, rule_change, suspension, show_receipts, summary, next_steps)
ATTEMPTS = (refusals_to_intruders, summary)


async def _walk(*, attempts_alone: bool) -> int:
    if not attempts_alone:
        paragraph(INTRODUCTION)
    return await walk(await connect(passwords()), ATTEMPTS if attempts_alone else PARTS)


def main() -> int:
    """Run the command line."""
    match sys.argv[1:]:
        case ["passwords"]:
            for user, password in passwords().items():
                print(f"{user:<8} {password}")
            return 0
        case ["token", user]:
            return print_token(Person(user, passwords().get(user, "")), issuer=ISSUER, ca=CA)
        case ["task"]:
            return run_until_stopped(_show_task())
        case [] | ["attempts"] as given:
            return run_until_stopped(_walk(attempts_alone=bool(given)))
    print("Usage: docker compose run --rm walkthrough [passwords | token USER | task]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
