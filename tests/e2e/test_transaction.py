"""The whole system as `make demo` runs it: real Keycloak, real attestation, real processes."""

import asyncio
import re
import subprocess

import pytest

from demo.refusals import attempts
from demo.revocation import PLANTED, sign_in_olga, wait_until_restored
from demo.tokens import tokens_of
from start.manual_steps import steps
from start.system import ROOT, System
from tests.support.leaks import holds_token
from tests.support.real_tasks import DRAWN, task, traced
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import short
from zerotrust.token_validation import TICK
from zt.audit.journals import first_bad_record

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_each_hop_has_its_own_token_exactly_as_drawn(system: System) -> None:
    done = await task(system, "alice")

    assert done["result"]["event"] == "finished"
    tokens = tokens_of(system.registry, traced(system, done["result"]["trace_id"]))
    seen = {
        name: (
            short(token.party),
            short(token.audience),
            frozenset(token.scopes),
            tuple(short(actor) for actor in token.actors),
        )
        for name, token in tokens.items()
    }
    assert seen == {name: (azp, aud, frozenset(s.split()), act) for name, (azp, aud, s, act, _) in DRAWN.items()}
    for name, token in tokens.items():
        assert 0 < token.expires_at - token.issued_at <= (DRAWN[name][-1] + TICK) * MICROSECONDS
        assert token.expires_at <= tokens["T0"].expires_at
    assert len({token.token_id for token in tokens.values()}) == len(DRAWN)
    assert {token.subject for token in tokens.values()} == {"a11ce000-0000-4000-8000-000000000000"}
    assert {token.transaction for token in tokens.values()} == {tokens["T0"].token_id}
    assert tokens["T2"].lineage == (tokens["T0"].token_id, tokens["T1"].token_id)
    assert tokens["T2w"].lineage == (tokens["T0"].token_id, tokens["T1w"].token_id)


async def test_every_refusal_of_the_walkthrough_answers_as_expected(system: System) -> None:
    tried = [attempt async for attempt in attempts(system)]

    assert len(tried) >= 10
    assert [attempt for attempt in tried if not attempt.as_expected] == []


async def test_every_journal_is_whole_and_holds_no_token(system: System) -> None:
    await task(system, "alice")

    for name in system.registry.services:
        journal = system.journal(name)
        assert first_bad_record(journal) == 0
        assert not holds_token(journal.read_bytes())
        assert not holds_token(system.log(name).read_bytes())


async def test_the_steps_that_make_up_prints_work_as_they_stand(system: System, by_hand: dict[str, str]) -> None:
    """Typed into a shell, from the project's folder."""
    told = steps(system).partition("`make down`")[0].partition(":\n")[2]
    command = ["bash", "-O", "expand_aliases", "-uo", "pipefail", "-c", told]

    try:
        typed = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=by_hand
        )
    finally:
        PLANTED.unlink(missing_ok=True)
        async with system.user() as http:
            olga = await sign_in_olga(system, http)
            await wait_until_restored(olga)
            await olga.reinstate("agent/writer")

    assert typed.returncode == 0, typed.stderr
    shown = "agent/writer, event: finished, no_token, authority/registry, suspended, peer_revoked, planted.py"
    for expected in shown.split(", "):
        assert expected in typed.stdout
    refused = r'"decision":.*"reason":"resource_denied".*"operation":"document.read"'
    for line in r'\{"steps":.*,"receipts":".*"\}', refused:
        assert re.search(f"^{line}$", typed.stdout, re.MULTILINE), line  # of its own, so that a prompt follows below it
    # The tool wants a certificate: it ends the connection before it reads a byte.  Nothing else fails.
    asked = re.compile(
        r"Sign in at Keycloak in the browser, within 120 s\.  If it shows no such page, open: https://localhost:\S+\n"
    )
    assert len(asked.findall(typed.stderr)) == 1  # and the sign-in serves all commands
    statuses = r"(200\n){2}401 no_token\ncurl: \((52|56)\) .*\n403 peer_revoked\n\d{3}.*\n"
    assert re.fullmatch(statuses, asked.sub("", typed.stderr)), typed.stderr
