"""Finds the characters for which policies are not read at all: people would read another text than Cedar.  Pure."""

import re
from collections.abc import Iterator

from authorities.policy.versions import Content
from zerotrust.authority.files.snapshot_files import SCHEMA
from zerotrust.authority.visible import visible
from zerotrust.policy import NO_CODE

KEPT = "\n\t"
"""The invisible characters that a text may have."""
_SPARED = re.compile(rf"(@description\s*\(\s*)?(?:{NO_CODE.pattern})", re.DOTALL)
"""A comment or a text; of a description, also the annotation before it, as group 1."""
_FOREIGN = re.compile(r"[^\x00-\x7F]")


def check_text(content: Content) -> list[str]:
    """Return the problems for which these policies are not even read, each with its file and line."""
    return (
        [*_characters(content)]  # control: policies-printable
        or [*_letters(content)]  # control: policies-ascii
    )


def _characters(content: Content) -> Iterator[str]:
    """Yield, for each file, the first character by which people would read another text than Cedar does."""
    for name, text in content.files.items():
        hidden = (place for place, one in enumerate(text) if not (visible(one) or one in KEPT))
        if (place := next(hidden, None)) is not None:
            line, sign = text.count("\n", 0, place) + 1, f"U+{ord(text[place]):04X}"
            if text.startswith("\r\n", place) and text.count("\r\n") == text.count("\n"):
                yield f"{name}: CRLF line ends: save it with LF line ends"
                continue
            yield f"{name}, line {line}: the character {sign} is not visible: remove it (lines end with U+000A alone)"


def _letters(content: Content) -> Iterator[str]:
    """Yield, for each file, the first letter of rule or schema that may look like another letter, as U+0430 does an a.

    The description of a rule and comments are for people, and may be in any language.
    """
    for name, text in {**content.policies, SCHEMA: content.cedar_schema}.items():
        if foreign := _FOREIGN.search(_SPARED.sub(_blank_spared, text)):
            sign, line = ord(foreign[0]), text.count("\n", 0, foreign.start()) + 1
            yield f"{name}, line {line}: the character U+{sign:04X}: in a text, write it as \\u{{{sign:X}}}"


def _blank_spared(found: re.Match[str]) -> str:
    """Return spaces for a comment or a description, and any other text as it is."""
    return " " * len(found[0]) if found[1] or found[0].startswith("/") else found[0]
