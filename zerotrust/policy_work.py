"""How much work policies and their schema can make for whoever reads them, counted in their text.  Pure.

Cedar judges each policy for each environment: each kind of principal, with each action, and each kind of resource.  A
common type is written out wherever it is named.  So a schema of 4 KB could take seconds of a party's event loop.
"""

import re

MAX_RULES = 100
"""Policies."""
MAX_NAMES = 250
"""Names in a schema: kinds, actions, attributes."""
MAX_WORK = 10_000
"""Clauses, operators, calls, brackets and commas of all policies, times the environments."""
MAX_COMPARED = 300_000_000
"""Characters of the policies, times those of the schema, times the environments (10 or more).

Cedar compares an unknown name with all that it knows.
"""
NO_CODE = re.compile(r'"(?:\\.|[^"\\])*(?:"|\\?\Z)|//[^\n\r]*', re.DOTALL)
"""Texts and comments.  A text that nothing closes is no Cedar, and goes to the end: else each quote in it is tried."""
JOIN = re.compile(r"&&|\|\||[-+*!.([]|[=<>]=?|\b(?:when|unless|if|in|is|has|like)\b")
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*(?:"|\\?\Z))|//[^\n\r]*', re.DOTALL)
_TYPE = re.compile(r"\btype\s+(\w+)")
_LIST = re.compile(r"\[([^\]]*)\]")


def too_much(policies: str, schema: str) -> str | None:
    """Return which bound these texts exceed, in words."""
    rules, declared = NO_CODE.sub("", policies), NO_CODE.sub("", schema)
    environments = sum(map(_environments, declared.split(";")))
    work = (len(JOIN.findall(rules)) + rules.count(",")) * max(1, environments)
    compared = len(_COMMENT.sub(r"\1", policies)) * len(_COMMENT.sub(r"\1", schema)) * max(10, environments)
    for exceeds, why in (
        (rules.count(";") > MAX_RULES, f"more than {MAX_RULES} policies"),
        ("?" in rules, "a template: only whole policies decide"),
        (len(re.findall(r"[,;{<\[(]", declared)) > MAX_NAMES, f"a schema of more than {MAX_NAMES} names"),
        (_nests_types(declared), "a common type of the schema may be named as the context of actions only"),
        (work > MAX_WORK, f"operators and commas, times actions and their kinds: {work}, more than {MAX_WORK}"),
        (
            compared > MAX_COMPARED,
            f"characters, times those of the schema, times actions: {compared}, more than {MAX_COMPARED}",
        ),
    ):
        if exceeds:
            return why
    return None


def _environments(statement: str) -> int:
    """Return how many environments a statement of a schema adds, or more."""
    names, applies, to = statement.partition("appliesTo")
    number = names.count(",") + 1 if applies else 0
    for kinds in _LIST.findall(to):
        number *= kinds.count(",") + 1
    return number


def _nests_types(declared: str) -> bool:
    """Whether a common type is named in another one or in an entity, or several times for the same actions."""
    types = set(_TYPE.findall(declared))
    for statement in declared.split(";"):
        named = sum(word in types for word in re.findall(r"\w+", statement))
        if named > 1 or (named and not _TYPE.search(statement) and "appliesTo" not in statement):
            return True
    return False
