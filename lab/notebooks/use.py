"""Short calls for the notebooks' cells: they call of the running system, and how its answers are printed."""

import asyncio
import json
import os
import re
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from lab.before.attacks import Outcome
from lab.before.one_token.running import one_token
from lab.before.one_token.use import OneToken
from lab.before.real import Real, real
from lab.before.system import Answer, Credentials, Session
from lab.notebooks.attach import realm_of_figure_1
from lab.notebooks.claims import Names
from lab.notebooks.normal import normal, sorted_lists
from start.system import Running
from zerotrust.audit.event_types import Access
from zerotrust.issuer.client import credential
from zerotrust.issuer.exchange import TokenRequest
from zt.reasons import meanings

_open, _names = AsyncExitStack(), Names()
_ADMITTED = re.compile(r"200 -\d+")
"""An answer of JSON-RPC: the gate let the call in, and the agent found no request in it."""


async def start_figure_1(system: Running) -> OneToken:
    """Start the processes of the system of figure 1, in the realm that is there for it; those of this kernel end."""
    await _open.aclose()
    return await _open.enter_async_context(one_token(realm_of_figure_1(system), Path.home() / "one-token"))


async def as_attacker(system: Running) -> Real:
    """Return the running system as attackers inside the orchestrator and both agents find it."""
    return await _open.enter_async_context(real(system))


def curl_variables(system: Running) -> dict[str, str]:
    """Return what `curl` needs to reach Keycloak and the orchestrator, as variables; it trusts this run's CA."""
    name = system.registry.dns_name("orchestrator")
    host, port = system.directory.places.get(name, (name, 443))
    return {
        "CURL_CA_BUNDLE": str(system.ca_file),
        "ISSUER": system.keycloak.issuer,
        "TOKENS": system.keycloak.metadata.token_endpoint,
        "ORCHESTRATOR": system.address("orchestrator"),
        "AT": f"--connect-to {name}::{host}:{port}",
    }


async def close() -> None:
    """End what was started."""
    await _open.aclose()


def token_of(credentials: Credentials) -> str:
    """Return the token in a caller's credentials."""
    return credentials["authorization"].removeprefix("Bearer ")


def bearer(token: str) -> Credentials:
    """Return the credentials of a caller that has a token."""
    return {"authorization": f"Bearer {token}"}


def show_token(token: str) -> None:
    """Print header and claims of a token, never the token."""
    print(_names.describe_token(token))


def show_outcome(seen: Outcome) -> None:
    """Print what came of an attack."""
    print("succeeded:" if seen.succeeded else "refused:", normal(seen.happened))


def explain(answer: Answer) -> str:
    """Return status and reason of an answer, and what the reason means."""
    if _ADMITTED.fullmatch(answer.said):
        return f"{'200 ok':<24} The gate let it in; the empty request itself is then rejected."
    return f"{answer.said:<24} {meanings().get(answer.said.rpartition(' ')[2], '')}".rstrip()


def show_decision(system: Running) -> tuple[str, str]:
    """Print the tool's last decision on record about a document; return its rules' version, and its trace."""
    found = [(event, event.data) for event in system.events("tool/documents") if isinstance(event.data, Access)]
    event, access = found[-1]
    policy = access.decision.policy
    rules = ", ".join((policy and policy.rules) or ["no rule"])
    print(f"on record: {access.operation} {access.resource.name}: {access.decision.reason} ({rules})")
    return policy.version if policy else "", event.trace.trace_id if event.trace else ""


async def ask_for_token(real: Real, holder: str, has: Credentials, target: str, scopes: str) -> Credentials | None:
    """Ask Keycloak as the party `holder` for a token for another party, registered or not; print what it answers.

    Return the token as credentials, if there is one.
    """
    keycloak, registry = real.system.keycloak, real.system.registry
    wanted = TokenRequest(f"spiffe://{registry.trust_domain}/{target}", frozenset(scopes.split()))
    form = wanted.form(token_of(has)) | credential(await real.system.assertion(holder))
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30) as http:
        answer = await http.post(keycloak.metadata.token_endpoint, data=form)
    said = answer.json()
    print(answer.status_code, said.get("error", "ok"), sorted_lists(said.get("error_description", "")))
    return bearer(said["access_token"]) if answer.is_success else None


async def run_task(real: Real, session: Session, request: str) -> None:
    """Give the orchestrator a task for a user; print what was done, what was refused, and the result."""
    answer = await real.task(session.credentials, request)
    found = json.loads(answer.text or "{}")
    for step in found.get("steps", []):
        for kind in ("done", "refused"):
            print(*(f"{step['agent']} {kind}: {' '.join(one.split())}\n" for one in step.get(kind, [])), sep="", end="")
    print(normal(found["result"]["text"]) if "result" in found else answer.said)


async def curl(command: str, token: str = "", **addresses: str) -> None:
    """Print a command, run it, and print answer and status.  The token goes through a pipe: arguments are public."""
    print("$", command)
    options = 'curl -sS --max-time 30 -w "\\n%{http_code}\\n"'
    shell = f"read -r TOKEN; {command.replace('curl', options, 1)}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", shell),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], **addresses},
    )
    said, _ = await process.communicate(f"{token}\n".encode())
    print(normal(said.decode(errors="replace")).strip())
