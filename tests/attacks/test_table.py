"""The catalogue and the tests of it are about the same attacks."""

import re
from pathlib import Path

from lab.without import Control, controls, without
from tests.attacks.instead import HOOKS
from tests.attacks.table import ROWS, group_of
from tests.support.attack import DOORS, LURES, Target, Watched
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
