"""The catalogue and the tests of it are about the same attacks."""

import re
from pathlib import Path

import pytest

from lab.without import Control, controls, without
from tests.attacks.instead import HOOKS
from tests.attacks.table import ROWS, group_of
from tests.support.attack import DOORS, LURES, Attempt, Target, Watched
from tests.support.attack_cases import check_that_half_succeed, check_what_they_are_about
from tests.support.issuer import Issuer
from tests.support.system import running


def test_every_row_is_tried_and_whatever_is_tried_is_a_row() -> None:
    tried = {
        (file.name.split("_")[1], int(number))
        for file in Path(__file__).parent.glob("test_?_*.py")
        for number in re.findall(r"^@(?:pytest\.mark\.)?attack\((\d+)", file.read_text(), re.MULTILINE)
    }

    assert tried == {(group_of(number), number) for number in ROWS}


def test_every_control_can_be_taken_away_and_whatever_has_an_id_is_taken_away() -> None:
    """So that a change of the code finds out in seconds, and not where each row is tried."""
    taken = {c for row in ROWS.values() for way in row.removable for c in way if isinstance(c, Control)}
    for control in taken:
        with without(control):
            pass

    assert {control.id for control in taken} == set(controls())
    assert {*HOOKS} <= {*map(str, taken)}


def test_what_another_row_takes_away_is_taken_away_there() -> None:
    """A text that begins with a row's number names one of its controls."""
    named = {text for row in ROWS.values() for text in row.beside if text.startswith("row ")}

    assert named
    for text in named:
        row, control = re.findall(r"^row (\d+): ([a-z0-9-]+)$", text)[0]
        assert control in ROWS[int(row)].names, text


async def test_what_every_attack_starts_from_is_a_good_request_that_is_served(tmp_path: Path, issuer: Issuer) -> None:
    async with running(tmp_path, issuer=issuer, kind=Watched) as system:
        target = Target(system, issuer)
        for party in DOORS:
            tried = await target.send(party, target.token(party))
            assert tried.handled
            assert tried.answer.status_code == 200
            assert "error" not in tried.answer.text


async def test_a_service_that_goes_where_it_is_sent_is_heard_there(tmp_path: Path, issuer: Issuer) -> None:
    async with running(tmp_path, "orchestrator", issuer=issuer) as system:
        target = Target(system, issuer)
        for address in LURES:
            await system.services["orchestrator"]._identity_http.get(f"{address}/keys")

    assert target.lured == ["attacker.test/keys", "169.254.169.254/keys"]


def tries(told: str) -> list[Attempt]:
    """Return one try for each word: `+` for one that succeeds, `-` for one that does not, and what it is about."""
    words = (word.partition(" ") for word in told.split(", "))
    return [Attempt("", sign == "+").stopped_by(*filter(None, [about])) for sign, _, about in words]


@pytest.mark.parametrize(
    ("told", "times"),
    [
        ("+, -", "1 of 2"),
        ("+, - other", "1 of 1"),
        ("+ azp-is-peer, - pydantic, - other", "1 of 1"),
        ("+ azp-is-peer, + one-host-header, - other", "2 of 2"),
        ("+ azp-is-peer and one-host-header, - azp-is-peer and other", "1 of 1"),
    ],
)
def test_a_try_counts_where_what_it_is_about_is_missing(told: str, times: str) -> None:
    noted: dict[str, object] = {}
    check_that_half_succeed(tries(told), [Control("azp-is-peer"), Control("one-host-header")], noted.__setitem__)

    assert noted == {"tries": times}


@pytest.mark.parametrize("told", ["-", "+, -, -", "+ other, - azp-is-peer", "+ azp-is-peer, -, - azp-is-peer"])
def test_a_control_without_which_fewer_than_half_of_its_tries_succeed_fails(told: str) -> None:
    with pytest.raises(AssertionError):
        check_that_half_succeed(tries(told), [Control("azp-is-peer")], lambda *_: None)


def test_a_try_cannot_be_about_what_its_row_does_not_name() -> None:
    noted: dict[str, object] = {}
    check_what_they_are_about(
        tries("- claims-valid (of any type), - pydantic, - pydantic"), ROWS[22], noted.__setitem__
    )

    assert noted == {"beside": {"pydantic": "2 of 3"}}
    with pytest.raises(AssertionError):
        check_what_they_are_about(tries("- token-size"), ROWS[22], noted.__setitem__)
