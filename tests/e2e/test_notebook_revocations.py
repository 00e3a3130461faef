"""What a cell of a notebook revokes is as it was afterwards, also where the cell fails: others run after it."""

import pytest

from demo import revocation_delays
from demo.intruder import answer_to
from demo.revocation_methods import REVOCATION_METHODS, RevocationMethod
from lab.before.real import real
from lab.notebooks.revocation import USER, measure_revocation, sign_in
from start.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(("user", "method"), [("bob", USER), ("alice", REVOCATION_METHODS["suspend"])])
async def test_a_revocation_is_undone_where_its_measurement_fails(
    system: System, monkeypatch: pytest.MonkeyPatch, user: str, method: RevocationMethod
) -> None:
    async def never(*_: object) -> tuple[str, float]:
        raise RuntimeError("not refused")

    async with real(system) as there:
        with monkeypatch.context() as broken:
            broken.setattr(revocation_delays, "_wait_for_refusal", never)
            with pytest.raises(RuntimeError, match="not refused"):
                await measure_revocation(await sign_in(there, user), method)
        answers = [await answer_to(call()) for call in (await sign_in(there, user)).calls().values()]

    assert answers == ["200 ok", "200 -32600", "200 ok", "404 unknown_model"]
