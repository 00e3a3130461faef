"""What operators ask about versions is answered by the version that they mean, and changes nothing."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from authorities.policy.explain import Explanations, Near
from authorities.policy.inquiries import Inquiries
from authorities.policy.operators import Questions
from authorities.policy.questions import MOST_ASKED, MOST_ATTRIBUTES, MOST_VERSIONS, Asked
from tests.support.contents import CONTENT, LESS, REGISTRY
from tests.support.policies import versions_in
from zerotrust.decision import Resource
from zerotrust.identity import MAX_ACTORS

REPORT = Resource(
    "Document",
    "ENG-101",
    tuple({"department": "/engineering", "state": "published", "owner": "x", "classification": "internal"}.items()),
)


@pytest.fixture
def inquiries(tmp_path: Path) -> Inquiries:
    return Inquiries(versions_in(tmp_path, CONTENT), lambda: REGISTRY)


def asked(policy: str, *, groups: str = "/finance", action: str = "document.read", **more: Any) -> Asked:
    reader = REGISTRY.id("agent/reader")
    thing = {"kind": REPORT.kind, "name": REPORT.name, "attributes": dict(REPORT.attributes)}
    told: dict[str, Any] = {
        "policy": policy,
        "subject": "bob",
        "party": reader,
        "actors": [reader, REGISTRY.id("orchestrator")],
        "scopes": ["tool.read"],
        "groups": [groups],
        "action": action,
        "at": thing,
    }
    return Asked.model_validate(told | more)


async def test_it_is_explained_by_the_version_that_decided(inquiries: Inquiries) -> None:
    old = inquiries.versions.active.name
    inquiries.versions.use(inquiries.versions.add(LESS, by="olga", why="nothing is deleted"))
    drafted = {
        "kind": "Document",
        "name": "D-1",
        "attributes": dict(REPORT.attributes) | {"state": "draft", "owner": "bob"},
    }
    deleting: dict[str, Any] = {
        "action": "document.delete",
        "at": drafted,
        "scopes": ["tool.write"],
        "groups": "/engineering",
    }

    before, after, unknown, other = await inquiries.explain(
        [asked(name, **deleting) for name in (old, inquiries.versions.active.name, "7-123456789abc", f"1-{'0' * 12}")]
    )
    assert before is not None
    assert before["allowed"]
    assert after is not None
    assert (after["allowed"], after["rules"]) == (False, [])
    assert (unknown, other) == (None, None)
    sentences = await inquiries.sentences(old)
    assert sentences is not None
    assert sentences["use-an-api"].startswith("For a user of a department, a party may call an API")
    assert await inquiries.sentences("7-123456789abc") is None


def test_what_is_asked_to_be_explained_has_bounds() -> None:
    one = asked("1-123456789abc").model_dump()
    assert len(Questions.model_validate({"refused": [one] * MOST_ASKED}).refused) == MOST_ASKED
    many = {str(number): "" for number in range(MOST_ATTRIBUTES + 1)}
    thing = {"at": {"kind": "Document", "name": "D", "attributes": many}}
    for decisions in ([one] * (MOST_ASKED + 1), [one | thing], [one | {"actors": ["a"] * (MAX_ACTORS + 1)}]):
        with pytest.raises(ValidationError):
            Questions.model_validate({"refused": decisions})
    with pytest.raises(ValidationError):
        Questions.model_validate({"versions": ["1-123456789abc"] * (MOST_VERSIONS + 1)})
    several = [one | {"policy": f"{number}-123456789abc"} for number in range(1, MOST_VERSIONS + 2)]
    Questions.model_validate({"refused": several[1:] * 2})
    with pytest.raises(ValidationError, match=f"{MOST_VERSIONS + 1} versions"):
        Questions.model_validate({"refused": several})


async def test_one_version_is_explained_after_another_also_for_two_who_ask(
    inquiries: Inquiries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes megabytes while it is explained."""
    first = inquiries.versions.active
    second = inquiries.versions.use(inquiries.versions.add(inquiries.versions.active.content, by="omar", why="again"))
    names = [one.name for one in (first, second)]
    at_work: set[int] = set()
    most: list[int] = []

    def nearest(self: object, *_asked: object) -> list[Near]:
        at_work.add(id(self))
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.discard(id(self))
        return []

    monkeypatch.setattr(Explanations, "nearest", nearest)
    questions = [asked(name) for name in (*names, *names)]
    both = await asyncio.gather(*(inquiries.explain(questions) for _ in range(2)))

    assert both == [[{"allowed": False, "rules": []}] * len(questions)] * 2
    assert max(most) == 1
