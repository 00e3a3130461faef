"""The events of a task as the walkthrough tells it, of any registry."""

from collections.abc import Sequence
from dataclasses import replace

import yaml

from registration.realm.users import USERS
from tests.support.records import CALLER
from tests.support.system import ROOT
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Exchange, Request
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.registry.model import Registry

GRANTED = Decided(allowed=True, reason="granted")
ALICE = USERS["alice"][0]
READING = ("agent.invoke", "inference.run", "tool.read")
WAYS = (
    ("orchestrator", "agent/reader", READING),
    ("agent/reader", "tool/documents", ("tool.read",)),
    ("agent/reader", "inference", ("inference.run",)),
    ("orchestrator", "agent/writer", ("agent.invoke", "inference.run", "tool.write")),
    ("agent/writer", "tool/documents", ("tool.write",)),
    ("agent/writer", "inference", ("inference.run",)),
)


def registry(*more: str) -> Registry:
    """The committed registry, with further agents that are like the reader and come last."""
    content = yaml.safe_load((ROOT / "registry.yaml").read_text())
    for name in more:
        content["parties"][name] = content["parties"]["agent/reader"]
        content["parties"]["orchestrator"]["may_call"].append(name)
        content["scopes"]["agent.invoke"]["served_by"].append(name)
    return Registry.model_validate(content)


def task(*ways: tuple[str, str, Sequence[str]], of: Registry) -> list[AuditEvent]:
    """The events of a task whose tokens went these ways, each from the holder of an earlier one."""
    everything = sorted({scope for _, _, scopes in ways for scope in scopes} | {"task.run"})
    t0 = replace(CALLER, subject=ALICE, audience=of.id("orchestrator"), scopes=tuple(everything))
    held, events = {"orchestrator": t0}, [event(t0, Request(operation=sanitize("POST /tasks"), decision=GRANTED), 0)]
    for number, (who, audience, scopes) in enumerate(ways, 1):
        parent, life = held[who], 30 if audience == "tool/documents" and who == "agent/reader" else 60
        token = replace(
            parent,
            party=of.id(who),
            actors=(of.id(who), *parent.actors),
            audience=of.id(audience),
            scopes=tuple(scopes),
            token_id=f"ntrtte:{number:08}",
            lineage=(*parent.lineage, parent.token_id),
            expires_at=parent.issued_at + life * MICROSECONDS,
        )
        held[audience] = token
        exchanged = Exchange(
            audience=token.audience,
            scopes=token.scopes,
            decision=GRANTED,
            principal=parent,
            parent_token_id=parent.token_id,
            token_id=token.token_id,
            lifetime=life * MICROSECONDS if life == 30 else None,
        )
        served = Request(operation=sanitize("POST /"), decision=GRANTED)
        events += [event(parent, exchanged, 2 * number), event(token, served, 2 * number + 1)]
    return events


def event(token: Caller, data: Request | Exchange, time: int) -> AuditEvent:
    return AuditEvent(schema=1, time=time, service=token.audience, data=replace(data, principal=token))
