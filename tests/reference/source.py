"""What the source says of its own names: the string that follows an assignment, which Python itself forgets."""

import ast
import re
from functools import cache
from inspect import getdoc
from pathlib import Path


@cache
def documented(file: Path) -> dict[str, str]:
    """Return each name that a module or one of its classes assigns, with the text below it; "" if there is none.

    A name of a class has the class before it: `CedarPolicy.MEMORY`.  Names that are assigned together share the text.
    """
    return dict(_documented(ast.parse(file.read_text()).body))


def text_of(thing: object) -> str:
    """Return the docstring of a module or a class, with one space after each sentence."""
    return one_space(getdoc(thing) or "")


def one_space(text: str) -> str:
    """Return a text with one space after each sentence."""
    return re.sub(r"(?<=\S)  (?=\S)", " ", text)


def _documented(body: list[ast.stmt], within: str = "") -> list[tuple[str, str]]:
    found = []
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.ClassDef):
            found += _documented(statement.body, f"{within}{statement.name}.")
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        names = [one.id for target in targets if target for one in ast.walk(target) if isinstance(one, ast.Name)]
        found += [(f"{within}{name}", _text(after)) for name in names]
    return found


def _text(statement: ast.stmt | None) -> str:
    """Return the text of a statement that is one string, on one line; "" of any other."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(statement.value.value.split()) if isinstance(statement.value.value, str) else ""
    return ""
