"""What people read of an explanation: each sentence stands by the version that has it."""

from typing import Any

from rich.console import Console

from zt.reasons import meaning
from zt.show_explanation import explained

STRICT, OPEN = "1-aaaaaaaaaaaa", "2-bbbbbbbbbbbb"
FOR_OPERATORS, FOR_ALL = "Operators may read.", "Everybody may read."


def decision(policy: str, *, sentence: str, missed: str = "", name: str = "read", document: str = "D-1") -> Any:
    rule = {"id": name, "sentence": sentence}
    return {
        "user": {"subject": "alice", "groups": ["/engineering"]},
        "through": ["agent/reader"],
        "at": "tool/documents",
        "asked": "document.read",
        "resource": {"name": document},
        "allowed": not missed,
        "reason": "resource_denied" if missed else "granted",
        "policy": policy,
        "rules": [] if missed else [rule],
        "meaning": None,
        "nearest": [{**rule, "missed": [missed]}] if missed else None,
        "instead": [] if missed else None,
        "now": False if missed else None,
    }


REFUSED = decision(STRICT, sentence=FOR_OPERATORS, missed="the user is no operator")


def shown(*found: Any, each: bool = False) -> list[str]:
    console = Console(width=160)
    with console.capture() as told:
        console.print(*explained(found, 0, each=each), sep="\n")
    return [line.strip() for line in told.get().splitlines()]


def test_a_rule_with_another_sentence_in_another_version_is_named_with_its_version() -> None:
    assert shown(REFUSED, decision(OPEN, sentence=FOR_ALL)) == [
        "For the user alice (/engineering):",
        "no   agent/reader asked for document.read D-1",
        f"No rule permits it.  Nearest: read of version {STRICT}, but the user is no operator.",
        f"yes  agent/reader: document.read (read of version {OPEN})",
        "The rules:",
        f"read of version {STRICT}: {FOR_OPERATORS}",
        f"read of version {OPEN}: {FOR_ALL}",
    ]


def test_the_sentence_of_a_version_does_not_stand_for_one_that_is_not_kept() -> None:
    for found in (REFUSED, decision(OPEN, sentence="")), (decision(OPEN, sentence=""), REFUSED):
        assert shown(*found)[-2:] == [
            f"read of version {STRICT}: {FOR_OPERATORS}",
            f"read of version {OPEN}: not kept any longer",
        ]


def test_no_sentence_of_a_version_is_lost() -> None:
    """The version is dropped between the two answers: to the refusal, and about the sentences."""
    assert shown(REFUSED, decision(STRICT, sentence=""))[-1] == f"read of version {STRICT}: {FOR_OPERATORS}"


def test_a_rule_with_one_sentence_is_named_without_a_version() -> None:
    found = shown(decision(STRICT, sentence=FOR_ALL), decision(OPEN, sentence=FOR_ALL))

    assert found[1:-1] == ["yes  2 x agent/reader: document.read (read)", "The rules:", f"read: {FOR_ALL}"]


def test_where_decisions_are_summed_up_the_end_says_how_to_see_each() -> None:
    two = [decision(OPEN, sentence=FOR_ALL, document=name) for name in ("D-1", "D-2")]
    last = "`--all` shows each decision by itself."

    assert shown(*two)[-1] == shown(REFUSED, REFUSED)[-1] == last
    for alone in shown(two[0]), shown(*two, each=True), shown(REFUSED, two[0]):
        assert last not in alone


def test_a_reason_that_is_not_on_the_page_is_one_of_a_service() -> None:
    assert meaning("out_of_stock") == "This is not a reason of the library: a service has declared it."
