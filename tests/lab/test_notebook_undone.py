"""What a cell of a notebook changes is as it was afterwards, also where the cell fails, or its kernel has died."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.notebooks import temporary
from lab.notebooks.copies import PLACES, folder_of, restore
from lab.notebooks.temporary import WRITER, added_file, put_right
from start.system import System


@dataclass
class Olga:
    """An operator at a registry that knows the writer's drift by its file."""

    file: Path
    suspended: bool = False
    read: list[str] = field(default_factory=list)
    """Where parties run, each time that it was read."""
    folder: Path = Path()
    put_back: int = 0
    """How often the policies were put back."""

    async def party(self, name: str) -> dict[str, str]:
        """Return the state of the writer; once it has drifted, it stays suspended."""
        assert name == WRITER
        self.suspended |= self.file.exists()
        return {"state": "drifted" if self.file.exists() else "suspended" if self.suspended else "active"}

    async def reinstate(self, name: str) -> None:
        assert (await self.party(name))["state"] == "suspended"
        self.suspended = False

    async def ask(self, method: str, path: str) -> dict[str, Any]:
        """Read again where parties run."""
        assert (method, path) == ("POST", "/reload")
        self.read.append((self.folder / PLACES).read_text())
        return {"changed": []}


@pytest.fixture
def system(tmp_path: Path) -> System:
    @asynccontextmanager
    async def user() -> AsyncIterator[None]:
        yield

    there = cast("System", SimpleNamespace(folder=tmp_path, user=user))
    restore(folder_of(there))
    return there


@pytest.fixture
def olga(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Olga:
    olga = Olga(tmp_path / "planted.py", folder=folder_of(system))

    async def operator(*_: object) -> Olga:
        return olga

    monkeypatch.setattr(temporary, "PLANTED", olga.file)

    async def put_back(_: System) -> None:
        olga.put_back += 1

    monkeypatch.setattr(temporary, "sign_in_olga", operator)
    monkeypatch.setattr(temporary, "put_back", put_back)
    return olga


async def test_a_file_is_removed_and_the_writer_reinstated_where_a_cell_fails(system: System, olga: Olga) -> None:
    async def cell() -> None:
        async with added_file(system):
            assert await olga.party(WRITER) == {"state": "drifted"}
            raise RuntimeError("the cell fails")

    with pytest.raises(RuntimeError, match="the cell fails"):
        await cell()
    assert not olga.file.exists()
    assert await olga.party(WRITER) == {"state": "active"}


async def test_what_a_kernel_left_that_has_died_is_put_right(system: System, olga: Olga) -> None:
    before = (folder_of(system) / PLACES).read_text()
    (folder_of(system) / PLACES).write_text("")
    olga.file.touch()
    assert await olga.party(WRITER) == {"state": "drifted"}

    await put_right(system)

    assert not olga.file.exists()
    assert await olga.party(WRITER) == {"state": "active"}
    assert olga.read == [before]
    assert olga.put_back == 1
