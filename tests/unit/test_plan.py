"""The plan: found without a model, and never with more scope than a step needs."""

import pytest

from orchestrator.plan import agents_of, make_plan
from tests.support.system import registry

AGENTS = agents_of(registry())


@pytest.mark.parametrize("request_", ["Summarise and file it.", "Summarise, then SAVE", "Write: a summary"])
def test_the_writer_takes_part_only_where_something_is_to_be_kept(request_: str) -> None:
    reading, writing = make_plan(request_, "/finance", AGENTS)

    assert (reading.agent, writing.agent) == ("agent/reader", "agent/writer")
    assert {reading.department, writing.department} == {"/finance"}  # no task works in two
    assert set(reading.scopes) & set(writing.scopes) == {"agent.invoke", "inference.run", "llama.chat"}


@pytest.mark.parametrize("request_", ["Delete DRAFT-0123abcd.", "remove, please, DRAFT-0123abcd and save room"])
def test_nothing_is_read_for_what_is_to_be_deleted(request_: str) -> None:
    (step,) = make_plan(request_, "/finance", AGENTS)

    assert (step.agent, step.department, step.instruction) == ("agent/writer", "/finance", request_)
    assert "tool.read" not in step.scopes


@pytest.mark.parametrize("request_", ["Writer: keep this", " writer :keep this", "WRITER: keep this"])
def test_a_request_that_begins_with_an_agents_name_is_for_that_agent_alone(request_: str) -> None:
    (step,) = make_plan(request_, "/finance", AGENTS)

    assert (step.agent, step.scopes, step.instruction) == ("agent/writer", AGENTS["agent/writer"], "keep this")


QUESTIONS = (
    "Raeder: this",
    "Summarise what to delete.",
    " ",
    "Summarise the profile of the underwriter.",  # a word that merely contains one of these is none
    *("Nobody: read this", "Writer:", "agent/writer: this", "Note: the writer: is away"),
    *("Reader:", "reader", "Summarise"),
)


@pytest.mark.parametrize("request_", QUESTIONS)
def test_anything_else_is_a_question_for_the_reader(request_: str) -> None:
    (step,) = make_plan(request_, "/finance", AGENTS)

    assert (step.agent, step.instruction) == ("agent/reader", request_)


def test_an_agents_scopes_are_what_it_may_delegate() -> None:
    assert AGENTS == {
        "agent/reader": ("agent.invoke", "tool.read", "inference.run", "llama.chat"),
        "agent/writer": ("agent.invoke", "tool.write", "inference.run", "llama.chat"),
    }
