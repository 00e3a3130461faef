"""The attacks on the pass-through of figure 3, and what came of each.  Nothing here knows what should happen."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from rich.text import Text

from demo.parts import begin
from lab.before import attacks
from lab.before.attacks import Outcome
from lab.before.llama_stack.agent import MODEL, response_request
from lab.before.llama_stack.running import PassThrough, pass_through
from start.manual_steps import REQUEST
from start.program import paragraph, say, showing_progress
from start.system import System

INTRODUCTION = (
    "The system that figure 3 of the series draws as today's. alice's client calls an agent. The agent hands her own "
    "token to a Llama Stack server, and with it the static key of its tool. The server checks that one token, asks the "
    "model, and calls the tool with the key. Server and Keycloak are real; documents, their poison and the "
    "model's rules are those of this project. What the same attacks come to in this project is in "
    "docs/how-to/models.md, beside these."
)
POISONED, SECRET, PUBLISHED = "ENG-104", "FIN-201", "ENG-101"
"""The report with an order in it; the document it wants read, which is finance's; the report it wants overwritten."""


async def ask_without_a_token(system: PassThrough) -> Outcome:
    """A stranger asks for the task."""
    answer = await _run(system, "", REQUEST)
    return Outcome(answer.is_success, str(answer.status_code))


async def read_the_forecast(system: PassThrough) -> Outcome:
    """alice, of engineering, asks for a summary; the poisoned report asks for the forecast of finance."""
    answer = await _task(system, "alice")
    return _leak(system, answer)


async def overwrite_the_report(system: PassThrough) -> Outcome:
    """The same task; the poisoned report wants a published report overwritten."""
    published = system.documents.all[PUBLISHED]["text"]
    answer = await _task(system, "alice")
    text = system.documents.all[PUBLISHED]["text"]
    return Outcome(text != published, f"{answer.status_code}: {PUBLISHED} now says {text.strip()!r}")


async def ask_without_a_department(system: PassThrough) -> Outcome:
    """eve, who is in no department, asks the agent for it."""
    return _leak(system, await _task(system, "eve", f"Read it: {_order('read', SECRET)}"))


async def spend_the_token_elsewhere(system: PassThrough) -> Outcome:
    """The agent, or anyone who sees its requests, uses alice's token for something else."""
    token = (await system.realm.sign_in("alice")).access_token
    headers = {"authorization": f"Bearer {token}"}
    hello = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    tries = {
        "inference": system.http.post(f"{system.stack}/v1/chat/completions", json=hello, headers=headers),
        "models": system.http.get(f"{system.stack}/v1/models", headers=headers),
        "tools": system.http.post(
            f"{system.stack}/v1/responses", json=response_request("Hello", system.tool, system.key), headers=headers
        ),
        "the agent": system.http.post(f"{system.agent}/tasks", json={"request": "Hello"}, headers=headers),
    }
    answers = {name: (await asked).status_code for name, asked in tries.items()}
    opened = [name for name, status in answers.items() if status == httpx.codes.OK]
    return Outcome(len(opened) > 1, f"it opens {', '.join(opened) or 'nothing'}")


async def take_the_tools_key(system: PassThrough) -> Outcome:
    """The Llama Stack, or anyone who reads its requests, uses the tool's key without any user."""
    call = {"name": "read", "arguments": {"id": SECRET}}
    answer = await system.http.post(
        system.tool,
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
        headers={"authorization": f"Bearer {system.key}", "accept": "application/json, text/event-stream"},
    )
    return _leak(system, answer)


async def go_on_after_sign_out(system: PassThrough) -> Outcome:
    """alice signs out; her token is used again."""
    login = await system.realm.sign_in("alice")
    await system.realm.sign_out(login)
    answer = await _run(system, login.access_token, REQUEST)
    return Outcome(answer.is_success, f"{answer.status_code}, for up to {login.expires_in} s more")


async def ask_the_record(system: PassThrough) -> Outcome:
    """alice and eve each have a report overwritten; an auditor asks the tool's record who it was."""
    records = []
    for user in ("alice", "eve"):
        system.documents.reset()
        await _task(system, user, f"Do it: {_order('replace', PUBLISHED, text='Nothing.')}")
        records.append([line for line in system.documents.record if line.startswith("replace")])
    return Outcome(records[0] == records[1] != [], f"of either it says: {'; '.join(records[0])}")


Run = Callable[[PassThrough], Awaitable[Outcome]]

ATTACKS: dict[str, tuple[Run, attacks.Run]] = {
    "a stranger asks for the task": (ask_without_a_token, attacks.call_behind_the_front_door),
    "a poisoned report has finance's forecast read": (read_the_forecast, attacks.have_the_forecast_read),
    "a poisoned report has a published report overwritten": (overwrite_the_report, attacks.have_the_report_overwritten),
    "eve, in no department, has the forecast read": (ask_without_a_department, attacks.ask_without_a_department),
    "the agent spends alice's token elsewhere": (spend_the_token_elsewhere, attacks.open_every_door),
    "the Llama Stack keeps the tool's key": (take_the_tools_key, attacks.use_it_from_elsewhere),
    "a token is used after alice has signed out": (go_on_after_sign_out, attacks.go_on_after_sign_out),
    "an overwritten report: the record is asked for whom": (ask_the_record, attacks.leave_no_name),
}
"""The attempts, each on fresh documents; and which attack on the other systems that is, as far as there are parts."""


async def run_attacks(system: System) -> dict[str, Outcome]:
    """Start the pass-through beside a running Keycloak, attack it, and return what came of each attack."""
    say("The Llama Stack server starts")
    async with pass_through(system.keycloak, system.authority.ca_file, system.folder / "llama-stack") as there:
        return await attack_all(there)


async def attack_all(there: PassThrough) -> dict[str, Outcome]:
    """Try all attacks, show what came of each, and return that."""
    begin("What happens there")
    outcomes = dict[str, Outcome]()
    for what, (attack, _) in ATTACKS.items():
        there.documents.reset()
        with showing_progress("The attack is made"):
            outcomes[what] = seen = await attack(there)
        verdict = ("succeeded", "red") if seen.succeeded else ("did not succeed", "green")
        paragraph(Text(what, "bold"))
        paragraph(Text.assemble(verdict, f"; {seen.happened}"), indent=2)
    succeeded = sum(one.succeeded for one in outcomes.values())
    paragraph(f"{succeeded} of {len(ATTACKS)} attacks succeeded there.")
    return outcomes


async def _task(system: PassThrough, user: str, request: str = REQUEST) -> httpx.Response:
    return await _run(system, (await system.realm.sign_in(user)).access_token, request)


async def _run(system: PassThrough, token: str, request: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await system.http.post(f"{system.agent}/tasks", json={"request": request}, headers=headers)


def _leak(system: PassThrough, answer: httpx.Response) -> Outcome:
    secret = system.documents.all[SECRET]["text"].partition(".")[0]
    leaked = secret in answer.text
    return Outcome(leaked, f"{answer.status_code}: " + (f"{secret!r}" if leaked else f"nothing of {SECRET}"))


def _order(tool: str, document: str, **more: Any) -> str:
    """Return an order in the form that the scripted model follows."""
    arguments = ", ".join(f'"{name}": "{value}"' for name, value in {"id": document, **more}.items())
    return f"call {tool} {{{arguments}}}"
