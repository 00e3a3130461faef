"""What is wrong with policies that are no Cedar or do not fit their schema: where, and what was expected.  Pure.

Cedar's own errors have no line, and it stops at the first.  So each rule is read alone.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

from authorities.policy import cedar
from authorities.policy.statements import Statement, code, first_unexpected, statements
from zerotrust.registry.files import SCHEMA

LONGEST_NAME = 64
"""Characters of a name that is compared with others: to compare two takes time for each pair of their characters."""
SHOWN = 60
"""Characters of a line that a problem quotes."""
_QUOTE = re.compile(r'\\.|//.*|"')
_NAMES = re.compile(r'"([\w.]+)"|\b([A-Za-z_]\w*)')
EXPECTED = {
    r"invalid policy effect: (?P<word>\w+)": "a rule begins with `permit`, after its annotations",
    r"'=' is not a valid operator": "write `==`",
    r"invalid variable in the policy scope: (?P<word>\w+)": "expected `principal`, `action` and `resource`",
    r"found the variable `(?P<word>\w+)` where": "expected `principal`, `action` and `resource`, in this order",
    r"invalid policy condition: (?P<word>\w+)": "a condition begins with `when` or `unless`",
    r"expected an entity uid, found literal `(?P<word>.+)`": 'name the type as well: `Action::"document.read"`',
    r"duplicate annotation: (?P<word>@\w+)": "remove one of the two",
    r"condition clause cannot be empty": "write a condition between the brackets, or leave the clause out",
    r"unexpected end of input": "a rule ends with `;`, and each bracket and text is closed",
}
"""What Cedar says, and what it would have read instead; `word` is where to look for it."""


def faults(files: Mapping[str, str], schema: str) -> Iterator[str]:
    """Yield what is wrong, a line for each fault: first what is no Cedar, then what the schema does not know.

    Each file has to be Cedar alone.  Then it ends outside of texts and comments, and the files have the same rules one
    by one as in one text.  Raises `UnreadError`.
    """
    of_schema = [*_of_schema(schema)]
    for name in sorted(files):
        if why := _refused_rules(files[name]):  # control: each-file-is-cedar
            yield from [*_of_file(statements({name: files[name]}))] or [f"{name}: {why}"]
    yield from of_schema or _of_names(readable(files), schema)


def _of_file(found: list[Statement]) -> Iterator[str]:
    for one in found:
        if (unclosed := _unclosed(one.text)) is not None and _refused_rules(one.text):
            yield f"{one.place_of(unclosed)}: a text has no closing quote on its line: {_line(one.text, unclosed)}"
            return  # from here on, texts and rules are taken for each other
        if fault := _of_text(one):
            yield fault


def readable(files: Mapping[str, str]) -> list[Statement]:
    """Return the statements that are Cedar."""
    return [one for one in statements(files) if not _refused_rules(one.text)]


def _refused(parse: Callable[[str], object]) -> Callable[[str], str | None]:
    def refused(text: str) -> str | None:
        try:
            parse(text)
        except ValueError as error:
            return str(error)
        return None

    return refused


_refused_rules, _refused_schema = _refused(cedar.policies_of), _refused(cedar.check_schema)


def _of_text(one: Statement) -> str | None:
    """Return why a rule is no Cedar."""
    if not (why := _refused_rules(one.text)):
        return None
    for pattern, expected in EXPECTED.items():
        if found := re.search(pattern, why):
            word = found.groupdict().get("word") or ("=" if "'='" in why else "")
            return f"{one.place_of_word(word) if word else one.place}: {why}: {expected}"
    if not (unexpected := first_unexpected(one.text, _refused_rules)):
        return f"{one.place}: {why}"
    offset, word = unexpected
    return f"{one.place_of(offset)}: {_unexpected(word)}: {_line(one.text, offset)}"


def _unexpected(word: str) -> str:
    if word in {"@", "permit", "forbid"}:
        return f"unexpected `{word}`: does the rule before it end with `;`?"
    return f"unexpected `{word}`: remove it, or add what is missing before it"


def _unclosed(text: str) -> int | None:
    """Return where a quote begins that its line does not close."""
    offset = 0
    for line in text.split("\n"):
        quotes = [found.start() for found in _QUOTE.finditer(line) if found[0] == '"']
        if len(quotes) % 2:
            return offset + quotes[-1]
        offset += len(line) + 1
    return None


def _of_schema(schema: str) -> Iterator[str]:
    if not (why := _refused_schema(schema)):
        return
    why = why.removeprefix("error parsing schema: ")
    if unknown := re.search(r"resolve types?: (\w+)", why):
        word = unknown[1]
        place = Statement(SCHEMA, 1, schema).place_of_word(word).rpartition(", ")[0]
        others = re.sub(rf"\b{word}\b", "", schema)
        yield f"{place}: no type `{word}` is declared{_meant(word, others)}"
        return
    found = first_unexpected(schema, lambda text: _syntax(_refused_schema(text)))
    if found is None:
        yield f"{SCHEMA}: {why}"
        return
    offset, word = found
    number = schema.count("\n", 0, offset) + 1
    yield f"{SCHEMA}, line {number}: {_unexpected(word)}: {_line(schema, offset)}"


def _syntax(why: str | None) -> str | None:
    """Return why a schema is none, but not that the beginning of one names what its end declares."""
    return why if why and "error parsing" in why else None


def _of_names(sound: list[Statement], schema: str) -> Iterator[str]:
    """Yield, of rules that are Cedar, what the schema does not know, each once."""
    found = dict[str, None]()
    for number, why in cedar.unfit("\n".join(one.text for one in sound), schema):
        if "unable to find an applicable action" not in why:  # which follows from an unknown one
            found[_of_name(None if number is None else sound[number], schema, why)] = None
    yield from found


def _of_name(one: Statement | None, schema: str, why: str) -> str:
    why = re.sub(r"^for policy `policy\d+`, ", "", why)
    if one is None:
        return f"{SCHEMA}: {why}"
    if unknown := re.match(r"attribute `(\w+)` (?:in context|on entity type `(\w+)`)", why):
        known = _attributes(code(schema, texts=True), unknown[2])
        of = f"an entity of type {unknown[2]}" if unknown[2] else "the context"
        place = one.place_of_word(unknown[1])
        return f"{place}: {of} has no attribute `{unknown[1]}` in {SCHEMA}{_meant(unknown[1], known)}"
    if unknown := re.match(r'unrecognized action `Action::"(.*)"`', why):
        return f"{one.place_of_word(unknown[1])}: {SCHEMA} has no action `{unknown[1]}`{_meant(unknown[1], schema)}"
    if unknown := re.match(r"unrecognized entity type `(\w+)`", why):
        return f"{one.place_of_word(unknown[1])}: {SCHEMA} has no type `{unknown[1]}`{_meant(unknown[1], schema)}"
    return f"{one.place}: {why}: compare the rule with {SCHEMA}"


def _attributes(schema: str, entity: str | None) -> str:
    """Return the part of a schema that declares the attributes of an entity type, or of the contexts."""
    declared = (
        rf"\bentity\s+{entity}\b[^{{;]*\{{([^}}]*)\}}" if entity else r"\b(?:type\s+\w+\s*=|context\s*:)\s*\{([^}]*)\}"
    )
    return "\n".join(re.findall(declared, schema))


def _meant(word: str, schema: str) -> str:
    """Return a question with the name in the schema that is closest to a word, or nothing."""
    if len(word) > LONGEST_NAME:
        return ""
    names = {quoted or plain for quoted, plain in _NAMES.findall(re.sub("//.*", "", schema))}
    near = get_close_matches(word, sorted(name for name in names if len(name) <= LONGEST_NAME), n=1)
    return f": is `{near[0]}` meant?" if near else ""


def _line(text: str, offset: int) -> str:
    """Return the line of a place, as far as it is shown."""
    line = text[text.rfind("\n", 0, offset) + 1 :].partition("\n")[0].strip()
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
