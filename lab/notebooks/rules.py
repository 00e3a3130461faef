"""Changes rules at the policy authority for a block of a notebook, and undoes that however the block ends."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from authorities.policy.decisions import read_rows
from authorities.policy.versions import Content, content_of
from demo.rule_change import sign_in_policy_operator
from registration.names import POLICIES
from start.system import ROOT, System
from zerotrust.policy import PolicyError
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of
from zt.people.authority_client import PolicyClient

_RULE = re.compile(r'^@id\("([^"]+)"\)$.*?^};$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """Policies that are ready to be activated."""

    content: Content
    rows: int
    """The rows of the decision table that contradict the change, and are left out: with a rule, its rows change."""
    olga: PolicyClient

    async def activate(self) -> None:
        """Put them into force, as `zt policy activate` does.  Raises `RefusedError`."""
        await _activate(self.olga, self.content, "a notebook tries it")


def rule(name: str) -> str:
    """Return the text of a rule of this project.  Raises `KeyError`."""
    return {found[1]: found[0] for found in _RULE.finditer(content_of(ROOT / POLICIES).document.policies)}[name]


@asynccontextmanager
async def changed_rule(system: System, old: str, new: str) -> AsyncIterator[Change]:
    """Prepare policies with `new` in the place of `old`; after the block, those of this project are in force.

    Raises `ValueError` if no file has the text.
    """
    content, left_out = edit(content_of(ROOT / POLICIES), old, new, system.registry)
    try:
        async with governing(system) as olga:
            yield Change(content, left_out, olga)
    finally:
        await put_back(system)


def edit(content: Content, old: str, new: str, registry: Registry) -> tuple[Content, int]:
    """Return policies with one text replaced, and without the rows that say otherwise; and how many these are.  Pure.

    Where the policies do not fit, the table stays as it is.  Raises `ValueError` if no file has the text.
    """
    policies = {name: text.replace(old, new) for name, text in content.policies.items()}
    if policies == content.policies:
        raise ValueError("no file has the text that is to be replaced")
    changed = content.model_copy(update={"policies": policies})
    try:
        engine = policy_of(changed.document, registry)
    except PolicyError:
        return changed, 0
    wrong = {row.line for row in read_rows(content.table, registry) if row.differs(row.ask(engine))}
    table = [line for number, line in enumerate(content.table.splitlines(), 1) if number not in wrong]
    return changed.model_copy(update={"table": "\n".join(table) + "\n"}), len(wrong)


@asynccontextmanager
async def governing(system: System) -> AsyncIterator[PolicyClient]:
    """Sign olga in for policies, for a block.  Her token lives a minute."""
    async with system.user() as http:
        yield await sign_in_policy_operator(system, http)


async def put_back(system: System) -> None:
    """Put the policies of this project into force, if others are: a notebook may not have come to its end."""
    content = content_of(ROOT / POLICIES)
    async with governing(system) as olga:
        if not (await olga.ask("POST", "/versions/test", content.model_dump(mode="json")))["same"]:
            await _activate(olga, content, "as it was before a notebook")


async def _activate(olga: PolicyClient, content: Content, why: str) -> None:
    await olga.ask("POST", "/versions", {"content": content.model_dump(mode="json"), "why": why})
