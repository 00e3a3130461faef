"""What a kernel of the notebooks gets of the system that another process runs."""

from pathlib import Path

import pytest
from keycloak.exceptions import KeycloakError

from lab.before.one_token.realm import NAME, realm
from lab.notebooks.attach import VARIABLE, attach, write
from lab.notebooks.use import close, start_figure_1
from start.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_a_kernel_starts_figure_1_again_and_again_and_cannot_administer_keycloak(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with realm(system.keycloak) as made:
        file = write(system, made)
        monkeypatch.setenv(VARIABLE, str(file))
        monkeypatch.setenv("HOME", str(tmp_path))
        try:
            attached = await attach()
            for _ in range(2):
                before = await start_figure_1(attached)
                assert (await before.task((await before.sign_in("alice")).credentials, "Hello")).ok
            await close()
            there = file.read_text()
        finally:
            file.unlink()

        assert system.keycloak.admin[1] not in there
        assert isinstance(attached, System)
        with pytest.raises(KeycloakError):
            async with attached.keycloak.administration("master") as admin:
                await admin.a_delete_realm(NAME)
