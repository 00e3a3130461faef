"""Notebooks as text (jupytext's percent format), and as Jupyter stores them.  Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

KERNEL = "zero-trust"
Notebook = dict[str, Any]
_CELL = re.compile(r"^# %%(?P<markdown> \[markdown\])?$", re.MULTILINE)
_METADATA = {
    "kernelspec": {"display_name": "Zero trust (the running system)", "language": "python", "name": KERNEL},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}


def notebook(source: str) -> Notebook:
    """Return a notebook without outputs; a cell's id is its number, so that the same source is the same notebook."""
    parts = _CELL.split(source)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    cells = [_cell(number, text.strip("\n"), bool(markdown)) for number, (markdown, text) in enumerate(pairs, 1)]
    return {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}


def _cell(number: int, text: str, markdown: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two kinds
    cell: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}}
    if markdown:
        text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        return {"cell_type": "markdown", **cell, "source": _lines(text)}
    return {"cell_type": "code", **cell, "source": _lines(text), "outputs": [], "execution_count": None}


def stored(cells: Notebook, outputs: Iterable[Iterable[Mapping[str, Any]]]) -> str:
    """Return a notebook with the outputs of its code cells as the text of its file."""
    given, counted, filled = iter(outputs), 0, []
    for cell in cells["cells"]:
        one = dict(cell)
        if one["cell_type"] == "code":
            counted += 1
            one |= {"outputs": [_output(each) for each in _joined(next(given))], "execution_count": counted}
        filled.append(one)
    return json.dumps({**cells, "cells": filled}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _joined(outputs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return outputs with one for all that was printed in a row: a kernel sends it in as many pieces as it likes."""
    found: list[Mapping[str, Any]] = []
    for output in outputs:
        last = found[-1] if found else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            found[-1] = {**output, "text": "".join(last["text"]) + "".join(output["text"])}
        else:
            found.append(output)
    return found


def _output(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return an output without the number of its cell, and with a list of lines wherever it has text."""
    found = {key: value for key, value in output.items() if key not in {"execution_count", "transient"}}
    if found["output_type"] == "execute_result":
        found["output_type"] = "display_data"
    if "text" in found:
        found["text"] = _lines(found["text"])
    if "data" in found:
        found["data"] = {kind: _lines(value) for kind, value in found["data"].items()}
    return found


def _lines(text: str | list[str]) -> list[str]:
    return ("".join(text)).splitlines(keepends=True)
