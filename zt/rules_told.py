"""The rules that decisions name, so that each name stands for one sentence, also where versions differ.  Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Found = Mapping[str, Any]
"""A decision, or a rule, as `explanations` returns it."""


def told_apart(found: Sequence[Found]) -> list[Found]:
    """Return the decisions, with the version in the name of each rule that has not one sentence in all of them."""
    sentences = defaultdict[str, set[str]](set)
    for one in found:
        for rule in _rules(one):
            sentences[rule["id"]].add(rule["sentence"])

    def told(rules: Sequence[Found] | None, policy: str) -> list[Found] | None:
        return None if rules is None else [of_version(rule, policy) for rule in rules]

    def of_version(rule: Found, policy: str) -> Found:
        return {**rule, "id": f"{rule['id']} of version {policy}"} if len(sentences[rule["id"]]) > 1 else rule

    return [
        {**one, "rules": told(one["rules"], one["policy"]), "nearest": told(one["nearest"], one["policy"])}
        for one in found
    ]


def sentences_of(found: Sequence[Found]) -> dict[str, str]:
    """Return the sentence of each rule by its name, those of refusals first; "" where nothing has it any longer."""
    named: dict[str, str] = {}
    for one in sorted(found, key=lambda one: bool(one["allowed"])):
        for rule in _rules(one):
            named[rule["id"]] = named.get(rule["id"]) or rule["sentence"]
    return named


def _rules(one: Found) -> Iterator[Found]:
    yield from one["nearest"] or ()
    yield from one["rules"]
