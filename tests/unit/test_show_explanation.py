"""What people read of an explanation: each sentence stands by the version that has it."""

from typing import Any

from rich.console import Console

from zt.reasons import meaning
from zt.show_explanation import explained
from zt.versions_told import at, by_whom, deciding

STRICT, OPEN = "1-aaaaaaaaaaaa", "2-bbbbbbbbbbbb"
LISTED = {
    "active": 2,
    "versions": [{"number": 2, "digest": "b" * 64, "at": 200.0}, {"number": 1, "digest": "a" * 64, "at": 100.0}],
}
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
        "fit": True,
    }


REFUSED = decision(STRICT, sentence=FOR_OPERATORS, missed="the user is no operator")


def shown(*found: Any, each: bool = False) -> list[str]:
    versions = deciding((one["policy"] for one in found), LISTED)
    return printed(*explained({"decisions": found, "versions": versions, "left_out": 0}, each=each))


def printed(*lines: Any) -> list[str]:
    console = Console(width=160)
    with console.capture() as told:
        console.print(*lines, sep="\n")
    return [line.strip() for line in told.get().splitlines()]


def test_what_several_versions_decided_names_the_version_each_time_and_a_rule_s_sentence_if_it_differs() -> None:
    assert shown(REFUSED, decision(OPEN, sentence=FOR_ALL)) == [
        "Decided by 2 versions of the policies:",
        f"{STRICT}, in force from {at(100)} until {at(200)}",
        f"{OPEN}, in force since {at(200)}",
        "For the user alice (/engineering):",
        "no   agent/reader asked for document.read D-1",
        f"No rule of version {STRICT} permits it.  Nearest: read, but the user is no operator.",
        f"yes  agent/reader: document.read (read of version {OPEN})",
        "The rules:",
        f"read of version {STRICT}: {FOR_OPERATORS}",
        f"read of version {OPEN}: {FOR_ALL}",
    ]


def test_the_one_version_that_decided_is_named_once_with_what_is_in_force_now() -> None:
    now = decision(OPEN, sentence=FOR_ALL)
    assert shown(now, now)[0] == f"Decided by version {OPEN} of the policies, in force since {at(200)}."
    assert "\n".join(shown(now, now)).count("version") == 1
    assert shown(REFUSED)[:3] == [
        f"Decided by version {STRICT} of the policies, in force from {at(100)} until {at(200)}.",
        "Version 2 is in force now: `zt policy diff 1` says what has changed since version 1.",
        "For the user alice (/engineering):",
    ]


def test_a_version_that_is_not_kept_is_said_to_be_that() -> None:
    for name in ("7-cccccccccccc", "1-cccccccccccc", "41d3c5a0b7e2"):
        assert shown(decision(name, sentence=""))[:2] == [
            f"Decided by version {name} of the policies, which the policy authority does not keep.",
            "Version 2 is in force now.",
        ]


def test_where_no_rule_decided_no_version_is_said_to_have() -> None:
    assert [*by_whom(deciding((), LISTED))] == []


def test_of_a_version_that_is_kept_nobody_says_that_it_is_not() -> None:
    unfit = {**REFUSED, "nearest": None}
    assert (
        f"resource_denied, by policy {STRICT}, of which the rules cannot be read, or do not fit the registry of today."
        in shown(unfit)
    )
    gone = {**unfit, "policy": "7-cccccccccccc"}
    assert "resource_denied, by policy 7-cccccccccccc, of which the rules are not kept any longer." in shown(gone)


def test_the_sentence_of_a_version_does_not_stand_for_one_that_is_not_kept() -> None:
    for found in (REFUSED, decision(OPEN, sentence="")), (decision(OPEN, sentence=""), REFUSED):
        assert shown(*found)[-2:] == [
            f"read of version {STRICT}: {FOR_OPERATORS}",
            f"read of version {OPEN}: not kept any longer",
        ]


def test_no_sentence_of_a_version_is_lost() -> None:
    """The version is dropped between the two answers: to the refusal, and about the sentences."""
    assert shown(REFUSED, decision(STRICT, sentence=""))[-1] == f"read of version {STRICT}: {FOR_OPERATORS}"


def test_a_rule_with_one_sentence_is_listed_without_a_version() -> None:
    found = shown(decision(STRICT, sentence=FOR_ALL), decision(OPEN, sentence=FOR_ALL))

    assert found[4:] == [
        f"yes  agent/reader: document.read (read of version {STRICT})",
        f"yes  agent/reader: document.read (read of version {OPEN})",
        "The rules:",
        f"read: {FOR_ALL}",
    ]


def test_where_decisions_are_summed_up_the_end_says_how_to_see_each() -> None:
    two = [decision(OPEN, sentence=FOR_ALL, document=name) for name in ("D-1", "D-2")]
    last = "`--all` shows each decision by itself."

    assert shown(*two)[-1] == shown(REFUSED, REFUSED)[-1] == last
    for alone in shown(two[0]), shown(*two, each=True), shown(REFUSED, two[0]):
        assert last not in alone


def test_of_a_record_that_no_token_explains_no_rule_is_asked() -> None:
    told = " ".join(shown({**REFUSED, "nearest": None, "fit": False}))
    assert "resource_denied.  Its record has more, or longer names than a token can have: no rule was asked." in told


def test_a_reason_that_is_not_on_the_page_is_one_of_a_service() -> None:
    assert meaning("out_of_stock") == "This is not a reason of the library: a service has declared it."
