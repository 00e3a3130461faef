"""What a cell of a notebook revokes is as it was afterwards, also where the cell fails: others run after it."""

import pytest

from demo import revocation_delays
from demo.intruder import answer_to
from demo.revocation_methods import REVOCATION_METHODS, RevocationMethod
from lab.before.real import real
from lab.notebooks.revoked import USER, revoked, started
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
            broken.setattr(revocation_delays, "_refused", never)
            with pytest.raises(RuntimeError, match="not refused"):
                await revoked(await started(there, user), method)
        answers = [await answer_to(call()) for call in (await started(there, user)).calls().values()]

    assert answers == ["200 ok", "200 -32600", "200 ok", "404 unknown_model"]
