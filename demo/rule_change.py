"""An operator changes a rule while everything runs; the rule decides the next call, and she rolls it back.

Then only people file drafts, and no agent for them.  The rule and its rows of the decision table change together.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, cast

import httpx
from rich.padding import Padding

from demo.again import PAUSE, TRIES, UNANSWERED, insist
from demo.checks import ALLOWED, Attempt, Checks
from demo.intruder import Intruder, User
from demo.parts import begin
from start.program import console, paragraph
from start.system import Running
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Access
from zt.errors import RefusedError
from zt.people.authorities import POLICY_AUTHORITY
from zt.people.authority_client import PolicyClient
from zt.policy.explanation import explanations
from zt.policy.show import explanation_lines

RULE, FILE = "create-draft-in-own-department", "documents.cedar"
OPERATION, TOOL = "document.create", "tool/documents"
WHY = "the walkthrough shows it"
_RULE = re.compile(rf'@id\("{RULE}"\).*?\n}};', re.DOTALL)
_ROW = re.compile(rf"^(\|[^|]*\|[^|]*agent/writer \|.*\|) yes \| {RULE} \|", re.MULTILINE)

Draft = Callable[[], Awaitable[object]]
"""Has the writer file a draft for alice, whatever comes of it."""


async def sign_in_policy_operator(system: Running, http: httpx.AsyncClient) -> PolicyClient:
    """Sign olga in at the policy authority."""
    login = await system.sign_in("olga", POLICY_AUTHORITY.scope, POLICY_AUTHORITY.client)
    return PolicyClient(system.address(system.registry.authorities.policy), http, "olga", login.auth)


def with_stricter_rule(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policies with one more condition in the rule: nobody acts for the user.  Pure."""

    def stricter(found: re.Match[str]) -> str:
        rule = found[0].replace("A caller with", "A user with").replace("user's name.", "user's name, in person.")
        return rule.replace("when {\n", "when {\n  !context.delegated &&\n")

    policies = dict(content["policies"])
    return {**content, "policies": policies | {FILE: _RULE.sub(stricter, policies[FILE])}}


def with_its_table(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policies with the rows of the decision table that go with the stricter rule.  Pure."""
    return {**content, "table": _ROW.sub(r"\1 no | resource_denied |", content["table"])}


@asynccontextmanager
async def drafting(system: Running) -> AsyncIterator[Draft]:
    """Yield what has the writer file a draft for alice, as an intruder inside it would."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        token = User("alice", intruder, agent="agent/writer").t2

        async def draft() -> httpx.Response:
            return await intruder.call_tool("agent/writer", await token(), "create", title="A draft", text="text")

        yield draft


async def show_rule_change(system: Running, checks: Checks, draft: Draft) -> None:
    """Change the rule, show how the next call is decided and why, and roll the rule back."""
    begin(
        "A rule changes",
        "The policy authority publishes the rules, signed, and each service decides by them in its own process. olga "
        "changes one while everything runs: agents may not file drafts any more. She adds the condition "
        f"`!context.delegated` (no party acts for the user) to {RULE}.",
    )
    events = list[AuditEvent]()

    async def drafted(who: str, control: str, answer: str, number: int) -> Attempt:
        events.append(await wait_for_version(system, draft, number))
        return _draft_attempt(who, control, f"{answer}, by version {number}", events[-1])

    async with system.user() as http:
        olga = await sign_in_policy_operator(system, http)
        first = (await insist(lambda: olga.ask("GET", "/versions")))["active"]
        content = (await insist(lambda: olga.ask("GET", f"/versions/{first}")))["content"]
        rule_alone = with_stricter_rule(content)

        async def changes() -> AsyncIterator[Attempt]:
            yield await drafted("the writer, for alice", ALLOWED, "yes", first)
            yield await _activate(olga, rule_alone, first, "the rule alone", "422 policy_unfit")
            complete, number = with_its_table(rule_alone), first + 1
            yield await _activate(olga, complete, first, "the rule and its table", f"version {number}")
            yield await drafted("the writer, by the new rule", "policy: in person", "no", number)

        try:
            await checks.make_all(changes())
            await _explain(olga, events[-1])
        finally:
            number = await _roll_back(await sign_in_policy_operator(system, http), first)  # a token lives a minute
        who = f"the writer, after olga rolled back to version {first}"
        checks.show([await drafted(who, ALLOWED, "yes", number)])


async def _roll_back(olga: PolicyClient, first: int) -> int:
    """Put a version into force again, unless it is.  Return the number under which it is in force."""
    number = (await insist(lambda: olga.ask("GET", "/versions")))["active"]
    if number != first:
        back = {"version": first, "why": WHY}
        number = (await insist(lambda: olga.ask("POST", "/versions/rollback", back)))["number"]
    return int(number)


async def wait_for_version(system: Running, draft: Draft, number: int) -> AuditEvent:
    """Have drafts filed until the tool decides by that version.  Return its record.  Raises `TimeoutError`."""
    for _ in range(TRIES):
        with suppress(*UNANSWERED):
            await draft()
        for event in reversed(system.events(TOOL)):
            if isinstance(event.data, Access) and event.data.operation == OPERATION:
                if _version(event.data).partition("-")[0] == str(number):
                    return event
                break
        await asyncio.sleep(PAUSE)  # it takes milliseconds
    raise TimeoutError(f"{TOOL} does not decide by version {number}")


def _version(data: Access) -> str:
    """Return the version that decided: its number, and the beginning of its digest."""
    return data.decision.policy.version if data.decision.policy else ""


def _draft_attempt(who: str, control: str, expected: str, event: AuditEvent) -> Attempt:
    data = cast("Access", event.data)
    answered = f"{'yes' if data.decision.allowed else 'no'}, by version {_version(data).partition('-')[0]}"
    return Attempt(who, "files a draft", control, expected, answered)


async def _activate(olga: PolicyClient, content: dict[str, Any], after: int, what: str, expected: str) -> Attempt:
    try:
        version = await insist(lambda: olga.ask("POST", "/versions", {"content": content, "why": WHY, "after": after}))
        answered = f"version {version['number']}"
    except RefusedError as refused:
        answered = refused.answer
    control = ALLOWED if expected.startswith("version") else "the decision table"
    return Attempt("olga, an operator", f"activates {what}", control, expected, answered)


async def _explain(olga: PolicyClient, event: AuditEvent) -> None:
    """Print what is on record of a refusal, and what `zt policy explain` says of it."""
    data = cast("Access", event.data)
    trace = event.trace.trace_id if event.trace else ""
    paragraph(f"On record at {TOOL}: {data.operation}, {data.decision.reason}, policy {_version(data)}.")
    paragraph(f"zt policy explain {trace} says:")
    answer = await explanations(olga, [(event, data)])
    for line in explanation_lines(answer):
        console.print(Padding(line, (0, 0, 0, 2)))
