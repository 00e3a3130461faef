"""What keeps policies from being read at all: characters by which people would read another text.  Pure."""

import re
from collections.abc import Iterator

from authorities.policy.versions import Content
from zerotrust.authority.snapshot_files import SCHEMA
from zerotrust.authority.visible import visible
from zerotrust.policy import NO_CODE

KEPT = "\n\t"
"""What a text may have that is not visible."""
_SPARED = re.compile(rf"(@description\s*\(\s*)?(?:{NO_CODE.pattern})", re.DOTALL)
"""A comment, a text, or a text that is a description, with what stands before it."""
_FOREIGN = re.compile(r"[^\x00-\x7F]")


def check_text(content: Content) -> list[str]:
    """Return why these policies are not even read, each with its file and line; or nothing."""
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
    """Yield, for each file, the first letter of a rule or of the schema that may look like another one, as U+0430 an a.

    What people are told of a rule, its description and comments, may be in any language.
    """
    for name, text in {**content.policies, SCHEMA: content.cedar_schema}.items():
        if foreign := _FOREIGN.search(_SPARED.sub(_blank_spared, text)):
            sign, line = ord(foreign[0]), text.count("\n", 0, foreign.start()) + 1
            yield f"{name}, line {line}: the character U+{sign:04X}: in a text, write it as \\u{{{sign:X}}}"


def _blank_spared(found: re.Match[str]) -> str:
    """Return what a comment or a text is for `_letters`: a text that is no description stays."""
    return " " * len(found[0]) if found[1] or found[0].startswith("/") else found[0]
