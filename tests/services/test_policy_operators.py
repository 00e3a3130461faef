"""The policy authority behind its gate: what is on record, and what is refused for its form or its size."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from authorities.policy import app, publisher
from authorities.policy.operators import MAX_CONTENT
from authorities.policy.publisher import Publisher
from authorities.policy.startup import versions_on_record
from tests.support.attack import POLICY_AUTHORITY, Tried, Watched
from tests.support.attack_policy import Governed, with_policy_authority
from tests.support.issuer import Issuer
from tests.support.policies import on_record
from tests.support.waiting import until


@pytest.fixture
async def authority(tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Governed]:
    """The authority, and a registry that takes everything."""

    async def taken(*_asked: object) -> None:
        """Take it."""

    monkeypatch.setattr(Publisher, "publish", taken)
    monkeypatch.setattr(publisher, "SECONDS_BETWEEN", 0.01)
    async with with_policy_authority(tmp_path, issuer, Watched) as target:
        yield target


async def ask(authority: Governed, path: str, body: Any = None, method: str = "POST") -> Tried:
    return await authority.send(
        POLICY_AUTHORITY, authority.operating(), method=method, path=path, body=b"" if body is None else body
    )


async def test_the_version_in_force_is_stated_again_and_again_so_that_the_next_start_finds_it(
    authority: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = authority.system.services[POLICY_AUTHORITY].data / "journal.jsonl"
    first = authority.versions.active
    await until(lambda: versions_on_record(journal) == on_record(first))
    monkeypatch.setattr(app, "STATED_EVERY", 2)
    for _ in range(2):
        await ask(authority, "/versions", method="GET")
    await until(lambda: journal.read_bytes().count(b'"action":"in_force"') > 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/versions", {"content": {"policies": {}, "cedar_schema": "", "table": ""}, "why": "empty"}),
        ("/versions", {"content": {"policies": {"../a.cedar": ""}, "cedar_schema": "", "table": ""}, "why": "a path"}),
        ("/versions/rollback", {"version": 1, "why": "two\nlines"}),
        ("/versions/rollback", {"version": 0, "why": "none"}),
        ("/versions/rollback", {"version": 1}),
        ("/explanations", {"refused": [{"policy": "latest"}]}),
    ],
)
async def test_what_has_not_the_form_is_refused_and_nothing_changes(authority: Governed, path: str, body: Any) -> None:
    tried = await ask(authority, path, body)

    assert (tried.answer.status_code, tried.problem["reason"]) == (400, "malformed_body")
    assert authority.versions.active.number == 1


async def test_a_content_has_a_bound(authority: Governed) -> None:
    tried = await ask(authority, "/versions/test", b'{"table": "' + b"x" * MAX_CONTENT + b'"}')

    assert (tried.answer.status_code, tried.problem["reason"]) == (413, "body_too_large")
