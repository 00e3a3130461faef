"""Rows of the catalogue at a service of one's own: rung 1, any issuer, and rung 2, bound to workloads.

Each row is tried as at the parties' doors, by the same lines, and without its controls as well.
"""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from lab.without import Control, delete, without
from tests.attacks.table import ROWS, Missing, described
from tests.support.attack import TRIES, Target, check_refused
from tests.support.attack_cases import check_that_half_succeed
from tests.support.issuer import Issuer
from tests.support.rungs import Plain, rung_1, rung_2
from tests.support.system import ROOT

EACH = [1, 3, 4, 5, 6, 7, 9, *range(10, 22), 24, 26, 27, 29, 30, 33, 46, 127]
HOLDS = {"1": EACH, "2": [*EACH, 25, 35, 95]}
ITS_OWN = {27: ["any-issuer-audience"], 29: ["any-issuer"], 127: ["any-issuer-one-client"]}
"""Controls that are other ones there."""
STOPPED_TWICE = {("1", 3), ("2", 127)}
"""The step for credentials of rung 1 reads one header; `bind` compares the client with the certificate."""
RUNGS: dict[str, tuple[Callable[..., AbstractAsyncContextManager[Target]], type[Issuer]]] = {
    "1": (rung_1, Plain),
    "2": (rung_2, Issuer),
}
EVERY = [(rung, number) for rung, rows in HOLDS.items() for number in sorted(rows)]


def ways(rung: str, number: int) -> list[tuple[Missing, ...]]:
    """Return what is taken away from the gate of that rung, each time."""
    if (rung, number) in STOPPED_TWICE:
        return []
    if own := ITS_OWN.get(number):
        # An issuer that is asked about a token answers its audience only.
        behind = ["high-risk-introspected"] if (rung, number) == ("2", 27) else []
        return [tuple(Control(name, delete) for name in (*own, *behind))]
    return ROWS[number].removable[:1] if number == 46 else ROWS[number].removable


WITHOUT = [(rung, number, way) for rung, number in EVERY for way in ways(rung, number)]


@pytest.mark.parametrize(("rung", "number"), EVERY)
async def test_a_row_holds_there(rung: str, number: int, tmp_path: Path, issuer: Issuer) -> None:
    place, kind = RUNGS[rung]
    async with place(tmp_path, kind(issuer.registry)) as target:
        tries = [tried async for tried in TRIES[number](target)]

    assert tries
    for tried in tries:
        check_refused(tried, ROWS[number])


@pytest.mark.parametrize(
    ("rung", "number", "way"), WITHOUT, ids=lambda it: described(it) if isinstance(it, tuple) else None
)
async def test_it_does_not_without_its_control(
    rung: str, number: int, way: tuple[Control, ...], tmp_path: Path, issuer: Issuer
) -> None:
    place, kind = RUNGS[rung]
    with without(*way):
        async with place(tmp_path, kind(issuer.registry)) as target:
            tries = [tried async for tried in TRIES[number](target)]

    for tried in tries if number in ITS_OWN else ():
        tried.about = ()
    check_that_half_succeed(tries, way, lambda _name, _value: None)


def test_the_page_names_these_rows() -> None:
    page = (ROOT / "docs" / "how-to" / "guard.md").read_text()
    told = re.search(r"that are tried there.*?\| ([\d, ]+) \| ([\d, ]+) \|", page)

    assert told
    assert [[*map(int, rows.split(", "))] for rows in told.groups()] == [sorted(rows) for rows in HOLDS.values()]
