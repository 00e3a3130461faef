"""What the registry answered, as a person reads it.  Pure: from an answer to something that rich prints."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

_COLOURS = {"active": "green", "suspended": "red", "drifted": "yellow"}


def parties(found: Iterable[Mapping[str, Any]]) -> Table:
    """All parties, a line each."""
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0))
    for column in ("party", "kind", "state", "since", "why"):
        table.add_column(column, overflow="fold")
    for party in found:
        table.add_row(
            Text(party["name"]),
            Text(party["kind"]),
            _state(party),
            _since(party),
            Text(party["cause"] or ""),
        )
    return table


def party(found: Mapping[str, Any]) -> Table:
    """One party, with what it was approved with."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in (
        ("party", Text(found["name"])),
        ("id", Text(found["id"])),
        ("kind", Text(found["kind"])),
        ("state", _state(found)),
        ("since", _since(found)),
        ("why", Text(found["cause"] or "")),
        ("calls", _lines(found["calls"])),
        ("hands on", _lines(found["hands_on"])),
        ("code", Text(found["code"] or "")),
        ("card", Text(found["card"] or "")),
        ("tools", _lines(f"{tool} {digest}" for tool, digest in found["tools"].items())),
    ):
        if value.plain:
            table.add_row(name, value)
    return table


def _state(found: Mapping[str, Any]) -> Text:
    return Text(found["state"], style=_COLOURS.get(found["state"], ""))


def _since(found: Mapping[str, Any]) -> Text:
    at = found["since"]
    return Text(f"{dt.datetime.fromtimestamp(at, dt.UTC).astimezone():%Y-%m-%d %H:%M:%S}" if at else "")


def _lines(found: Iterable[str]) -> Text:
    return Text("\n".join(found))
