"""What people read of an explanation: each sentence stands by the version that has it."""

from typing import Any

from rich.console import Console

from zt.policy.explanation import deciding_versions
from zt.policy.show import explanation_lines

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
        "now": False if missed else None,
        "fit": True,
    }


REFUSED = decision(STRICT, sentence=FOR_OPERATORS, missed="the user is no operator")


def shown(*found: Any) -> list[str]:
    versions = deciding_versions(dict.fromkeys(one["policy"] for one in found), LISTED)
    console = Console(width=160)
    with console.capture() as told:
        console.print(*explanation_lines({"decisions": found, "versions": versions, "left_out": 0}), sep="\n")
    return [line.strip() for line in told.get().splitlines()]


def test_a_sentence_stands_for_its_own_version_alone_and_none_is_lost() -> None:
    """A version may be dropped between the answers about a refusal and about the sentences."""
    for found in (REFUSED, decision(OPEN, sentence="")), (decision(OPEN, sentence=""), REFUSED):
        assert shown(*found)[-2:] == [
            f"read (policy {STRICT}): {FOR_OPERATORS}",
            f"read (policy {OPEN}): not kept any longer",
        ]
    assert shown(REFUSED, decision(STRICT, sentence=""))[-1] == f"read: {FOR_OPERATORS}"
