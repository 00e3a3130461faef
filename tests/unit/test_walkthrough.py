"""What the walkthrough prints: of any registry, at any width, with or without styles."""

import io
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.text import Text

from demo import containers
from demo.catalogue import ATTEMPTS, BY_NAME
from demo.checks import ALLOWED, Attempt, Checks
from demo.story import TRIED, Done, _tell_of_the_poisoned_report, model_said, poisoned
from demo.tokens import longest_chain, show_exchanges, side_by_side, tokens_of
from demo.who import show_who_is_who
from local import program, progress
from local.program import alive, console, paragraph, say
from registration.realm.users import USERS
from tests.support.ca import the_ca
from tests.support.system import ROOT
from tests.support.told_task import ALICE, GRANTED, READING, WAYS, event, registry, task
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Exchange, Request
from zerotrust.audit.forms import sanitize
from zerotrust.registry.model import Registry
from zerotrust.testing.browser import Person
from zt.login import Client, Login, LoginError
from zt.terminal import Terminal
from zt.trail import trail

AUDITING = (("orchestrator", "agent/auditor", READING), ("agent/auditor", "tool/documents", ("tool.read",)))


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(console, "_width", request.param)
    return int(request.param)


def test_a_token_has_the_name_that_the_texts_give_it() -> None:
    tokens = tokens_of(registry(), task(*WAYS, of=registry()))

    assert list(tokens) == ["T0", "T1", "T2", "T3", "T1w", "T2w", "T3w"]
    assert tokens["T2w"].audience.endswith("tool/documents")
    assert tokens_of(registry(), task(*WAYS[3:], of=registry())).keys() == {"T0", "T1w", "T2w", "T3w"}


def test_whatever_agent_is_added_takes_part_by_a_name_of_its_own(width: int) -> None:
    more = registry("agent/auditor", "agent/wizard")
    events = task(*WAYS, *AUDITING, ("orchestrator", "agent/wizard", READING), of=more)

    tokens = tokens_of(more, events)
    with console.capture() as told:
        show_who_is_who(more)
        show_exchanges(more, events)
        console.print(trail(events))

    assert list(tokens) == ["T0", "T1", "T2", "T3", "T1wr", "T2wr", "T3wr", "T1a", "T2a", "T1wi"]
    assert "T2a agent/auditor → tool/documents" in told.get()
    assert max(map(len, told.get().splitlines())) <= width


def test_whoever_is_added_to_the_people_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(USERS, "frank", ("f2a00000-0000-4000-8000-000000000000", ["/finance"]))
    with console.capture() as told:
        show_who_is_who(registry())

    assert re.search(r"frank +/finance", told.get())


def test_an_agent_that_another_agent_calls_and_one_that_nobody_registered_have_names_too() -> None:
    stranger = Registry.model_validate(registry().model_dump())
    ways = (*WAYS[:2], ("agent/reader", "agent/writer", ("agent.invoke",)))

    assert list(tokens_of(stranger, task(*ways, of=registry()))) == ["T0", "T1", "T2", "T4"]
    unknown = task(*AUDITING, of=registry("agent/auditor"))
    assert list(tokens_of(registry(), unknown)) == ["T0", "T1a", "T2a"]


def test_what_a_token_has_lost_is_marked_in_the_text_and_struck_through_where_there_are_styles(width: int) -> None:
    events = task(*WAYS, of=registry())
    with console.capture() as told:
        show_exchanges(registry(), events)
    styled = io.StringIO()
    chain = longest_chain(tokens_of(registry(), events))
    Terminal(file=styled, width=width, force_terminal=True, color_system="standard").print(side_by_side(chain))

    assert re.search(r"task\.run +-task\.run *\n", told.get())
    assert re.search(r"tool\.write +-tool\.write *\n", told.get())
    assert re.search(r"inference\.run +inference\.run +-inference\.run", told.get())
    assert re.search(r"user \(sub\) +alice +alice +alice", told.get())
    assert ALICE[:8] not in told.get()
    assert re.search(r"requested_lifetime +30 +\(a shorter lifetime: agent/reader could have had 60 s\)", told.get())
    assert re.search("\x1b\\[[0-9;]*9[0-9;]*mtask.run", styled.getvalue())  # 9: struck through
    assert "\x1b" not in told.get()


def test_a_task_that_got_nowhere_is_shown_all_the_same() -> None:
    with console.capture() as told:
        show_exchanges(registry(), task(of=registry()))
        show_exchanges(registry(), [])

    assert "walkthrough → orchestrator" in told.get()


ALL = [Attempt(who, one.what, one.control, one.expected, one.expected) for who, of in ATTEMPTS.items() for one in of]
ALL += [Attempt(who, one.what, one.control, one.expected, one.expected) for who, one in BY_NAME.values()]


def test_no_answer_is_broken_and_no_line_too_long(width: int) -> None:
    with console.capture() as told:
        Checks().show(ALL)

    assert max(map(len, told.get().splitlines())) <= width
    assert [attempt.answered for attempt in ALL if attempt.answered not in told.get()] == []


async def test_what_must_succeed_is_marked_and_counted_apart() -> None:
    async def trying() -> AsyncIterator[Attempt]:
        yield Attempt("the writer", "files a draft", ALLOWED, "200 ok", "200 ok")
        yield Attempt("the writer, suspended", "files a draft", "revocation", "401 revoked", "401 revoked")

    checks = Checks()
    with console.capture() as told:
        await checks.all(trying())

    assert re.search(r"✓ +files a draft +200 ok +must be allowed", told.get())
    assert checks.close().plain == "All 2 checks behaved as expected: 1 attempt refused, 1 legitimate call allowed."
    assert checks.failed == []


def test_another_answer_is_told_at_once_and_at_the_end() -> None:
    checks = Checks()
    with console.capture() as told:
        checks.show([Attempt("eve", "runs a task", "policy", "403 policy_denied", "200 ok"), *ALL[:2]])

    assert "expected 403 policy_denied, answered 200 ok: eve runs a task" in told.get()
    assert re.search(r"✗ +runs a task", told.get())
    assert checks.close().plain == "1 of 3 checks did not behave as expected: eve runs a task."


def test_what_the_poisoned_report_tried_counts_only_if_the_right_agent_was_refused_for_the_right_reason() -> None:
    tried, of = TRIED[1], registry()
    token = tokens_of(of, task(*WAYS, of=of))["T2"]

    def outcome(token: Caller, reason: str) -> bool:
        decided = Decided(allowed=reason == "granted", reason=reason)
        return poisoned([event(token, Request(operation=sanitize(tried.operation), decision=decided), 0)])[
            1
        ].as_expected

    assert outcome(token, "scope_missing")
    assert not outcome(token, "granted")
    assert not outcome(token, "no_token")
    assert not outcome(replace(token, party=of.id("agent/writer")), "scope_missing")


def test_what_the_model_did_not_ask_for_counts_only_where_it_obeys_whatever_it_reads() -> None:
    told = {}
    for obeys in (True, False):
        checks = Checks()
        with console.capture() as printed:
            _tell_of_the_poisoned_report([], checks, obeys=obeys)
        text = " ".join(printed.get().split())  # whatever the width
        told[obeys] = (len(checks.made), len(checks.failed), "the model did not ask for it" in text)
        assert ("both agents obeyed" in text) == obeys

    assert told == {True: (4, 4, False), False: (0, 0, True)}


def test_a_token_for_a_server_outside_is_shown_as_the_bearer_token_that_it_is(width: int) -> None:
    of = registry()
    events = task(*WAYS, of=of)
    t3 = tokens_of(of, events)["T3"]
    data = Exchange(
        audience="llamastack",
        scopes=("llama.chat",),
        decision=GRANTED,
        principal=t3,
        parent_token_id=t3.token_id,
        token_id="ntrtte:outside",
    )
    refused = replace(data, decision=Decided(allowed=False, reason="exchange_refused"), scopes=("llama.models",))
    told = {}
    for more in ((), (data, data, refused)):
        with console.capture() as printed:
            show_exchanges(of, [*events, *(event(t3, one, 99) for one in more)])
        told[len(more)] = " ".join(printed.get().split())
        assert max(map(len, printed.get().splitlines())) <= width

    assert "bearer" not in told[0]
    assert told[3].count("inference → llamastack llama.chat 30 s at most") == 1
    assert "llama.models" not in told[3]
    assert "These are bearer tokens" in told[3]


def test_which_model_answered_is_told_from_the_tasks_answer_and_the_journals() -> None:
    of = registry()
    inside = task(*WAYS, of=of)
    behind = [*inside, *task(("orchestrator", "inference", ("llama.chat",)), of=of)]
    last = behind[-2].data
    assert isinstance(last, Exchange)
    behind[-2] = replace(behind[-2], data=replace(last, audience="llamastack"))

    assert model_said(Done(inside, "scripted")) == (
        "the model `scripted` answered, inside inference: a script, which obeys whatever it reads"
    )
    assert "behind a Llama Stack server: a script" in model_said(Done(behind, "provider/scripted"))
    assert "behind a Llama Stack server: it may obey" in model_said(Done(behind, "provider/qwen3:8b"))
    assert [Done([], name).obeys for name in ("scripted", "provider/scripted", "provider/qwen3:8b", "default")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_first_line_is_as_wide_as_the_others_and_words_and_styles_stay_whole(width: int) -> None:
    with console.capture() as noted:
        say("word " * 40 + "\nthe end")
    assert {re.match(" *", line)[0] for line in noted.get().splitlines()[1:]} == {" " * 9}  # type: ignore[index] # it matches
    said = Text.assemble(("make up", "bold"), "  ", " ".join(f"word{number}" for number in range(40)), "\n\nend")
    with console.capture() as told:
        paragraph(said, indent=2, hanging=9)
        paragraph("short", indent=2, hanging=9)
        paragraph("", hanging=2)
    *lines, end, short, empty = told.get().splitlines()

    assert all(width - len("word00") - 1 <= len(line.rstrip()) <= width for line in lines[:-2])
    assert [re.match(" *", line)[0] for line in lines[:-1]] == ["  ", *[" " * 11] * (len(lines) - 2)]  # type: ignore[index] # it matches
    assert " ".join(told.get().split()) == " ".join(f"{said.plain} short".split())
    assert (end.strip(), short, empty) == ("end", "  short", "")


def test_where_there_is_no_terminal_a_line_says_again_and_again_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said, enough = list[str](), threading.Event()

    def heard(text: str) -> None:
        said.append(text)
        if len(said) == 2:
            enough.set()

    monkeypatch.setattr(progress, "SAID_AFTER", 0.01)
    monkeypatch.setattr(program, "say", heard)
    with program.busy("The task runs"):
        assert enough.wait(60)

    assert said[:2] == ["The task runs: 0.01 s so far", "The task runs: 0.02 s so far"]


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the walkthrough in its container has."""
    (tmp_path / "passwords.json").write_text('{"alice": "one", "bob": "two"}')
    (tmp_path / "ca.pem").write_text(the_ca().pem)
    monkeypatch.setattr(containers, "PASSWORDS", tmp_path / "passwords.json")
    monkeypatch.setattr(containers, "CA", tmp_path / "ca.pem")


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("user", ["bob", "carol"])
def test_in_containers_why_there_is_no_token_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: str
) -> None:
    async def refused(person: Person, _client: Client) -> Login:
        raise LoginError(f"{person.username}: Account is disabled")

    monkeypatch.setattr(Person, "sign_in", refused)
    monkeypatch.setattr(sys, "argv", ["walkthrough", "token", user])

    assert containers.main() == 1
    assert capsys.readouterr() == ("", f"Nobody was signed in: {user}: Account is disabled.\n")


@pytest.mark.parametrize("module", ["demo.__main__", "local.__main__", "lab.before.__main__"])
def test_the_first_line_comes_before_what_takes_long_to_import(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'httpx', 'pydantic', 'sqlalchemy', 'fastapi'}} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603

    assert done.stdout == "\n"


def test_a_counter_runs_on_a_terminal_and_a_pipe_gets_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with console.capture() as piped, alive("Everything starts"):
        pass
    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "is_interactive", True)
    with console.capture() as shown, alive("Everything starts"):
        pass

    assert piped.get() == ""
    assert "Everything starts" in shown.get()
    assert "0:00:00" in shown.get()
