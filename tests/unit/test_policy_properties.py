"""What no caller can gain: neither by acting through somebody, nor by holding less."""

from dataclasses import replace

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
