"""What no caller can gain: not by acting through somebody, not by holding less; and what cannot be decided is a no."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authorities.policy.callers import caller
from tests.support.system import POLICY, registry
from zerotrust.decision import Decision, Resource
from zerotrust.identity import Principal
from zerotrust.runtime import policy_of

REGISTRY = registry()
ENGINE = policy_of(POLICY, REGISTRY)
PARTIES = sorted(REGISTRY.id(name) for name in REGISTRY.parties)
GROUPS = [*REGISTRY.departments, "/operators", "/engineering/interns"]
SUBJECTS = ["alice", "bob"]

documents = st.builds(
    lambda department, state, owner, classification: Resource(
        "Document",
        "D-1",
        (("department", department), ("state", state), ("owner", owner), ("classification", classification)),
    ),
    st.sampled_from([*GROUPS, ""]),
    st.sampled_from(["draft", "published", "archived", "absent"]),
    st.sampled_from([*SUBJECTS, ""]),
    st.sampled_from(["public", "internal", "restricted", ""]),
)
questions = st.one_of(
    st.tuples(st.sampled_from(sorted(REGISTRY.scopes)), st.sampled_from(PARTIES)),
    st.tuples(st.sampled_from([f"document.{verb}" for verb in ("read", "create", "replace", "delete")]), documents),
)
callers = st.builds(
    lambda party, subject, chain, scopes, groups: caller(
        party, subject=subject, actors=tuple(chain), scopes=scopes, groups=groups
    ),
    st.sampled_from(PARTIES),
    st.sampled_from(SUBJECTS),
    st.lists(st.sampled_from(PARTIES), max_size=3),
    st.sets(st.sampled_from(sorted(REGISTRY.scopes))),
    st.sets(st.sampled_from(GROUPS)),
)
Question = tuple[str, str | Resource]


def ask(who: Principal, question: Question) -> Decision:
    action, at = question
    return ENGINE.decide_on(who, action, at) if isinstance(at, Resource) else ENGINE.decide(who, action, at)


def test_there_is_something_to_lose() -> None:
    reader = caller(REGISTRY.id("agent/reader"), actors=("a",), scopes={"tool.read"}, groups={"/engineering"})

    assert ask(reader, ("tool.read", REGISTRY.id("tool/documents")))


@given(callers, questions, st.sampled_from(PARTIES), st.integers(0, 3))
def test_another_actor_turns_no_no_into_a_yes(who: Principal, question: Question, actor: str, place: int) -> None:
    longer = replace(who, actors=(*who.actors[:place], actor, *who.actors[place:]))

    assert ask(who, question) or not ask(longer, question)


@given(callers, questions, st.lists(st.text(min_size=1), max_size=3))
def test_earlier_actors_whoever_they_are_change_no_decision(who: Principal, question: Question, odd: list[str]) -> None:
    assume(who.delegated)

    assert ask(replace(who, actors=(*who.actors, *odd)), question) == ask(who, question)


@given(callers, questions, st.data())
def test_a_scope_less_turns_no_no_into_a_yes(who: Principal, question: Question, data: st.DataObject) -> None:
    fewer = data.draw(st.sets(st.sampled_from(sorted(who.scopes)))) if who.scopes else set[str]()

    assert ask(who, question) or not ask(replace(who, scopes=frozenset(fewer)), question)


@given(callers, questions, st.data())
def test_a_group_less_turns_no_no_into_a_yes(who: Principal, question: Question, data: st.DataObject) -> None:
    """But for a token of an agent that names several departments: it is refused, because it has to name one."""
    assume(not who.delegated or len(who.groups & {*REGISTRY.departments}) < 2)
    fewer = data.draw(st.sets(st.sampled_from(sorted(who.groups)))) if who.groups else set[str]()

    assert ask(who, question) or not ask(replace(who, groups=frozenset(fewer)), question)


@given(callers, questions, st.sets(st.text(max_size=8).filter(lambda name: name not in REGISTRY.departments)))
def test_a_group_that_no_rule_names_changes_no_decision(who: Principal, question: Question, odd: set[str]) -> None:
    assume("/operators" not in odd)

    assert ask(replace(who, groups=who.groups | odd), question) == ask(who, question)


@given(callers, st.text(max_size=20), st.one_of(st.text(max_size=20), documents))
def test_an_action_that_the_schema_does_not_have_is_a_no(who: Principal, action: str, at: str | Resource) -> None:
    assert not ask(who, (action, at))
    assert not ask(replace(who, scopes=who.scopes | {action}), (action, at))


ATTRIBUTES = (("department", "/engineering"), ("state", "draft"), ("owner", "alice"), ("classification", "internal"))


@pytest.mark.parametrize(
    "attributes",
    [
        *(tuple(one for one in ATTRIBUTES if one != gone) for gone in ATTRIBUTES),
        (*ATTRIBUTES, ("secret", "no")),
        (),
    ],
)
def test_a_document_that_the_schema_does_not_describe_is_a_no(attributes: tuple[tuple[str, str], ...]) -> None:
    who = caller(
        REGISTRY.id("agent/writer"), subject="alice", actors=("a",), scopes={"tool.write"}, groups={"/engineering"}
    )

    assert ENGINE.decide_on(who, "document.replace", Resource("Document", "D-1", ATTRIBUTES))
    assert not ENGINE.decide_on(who, "document.replace", Resource("Document", "D-1", attributes))
