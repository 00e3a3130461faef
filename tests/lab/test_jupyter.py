"""JupyterLab and the kernels of the notebooks, real ones: who can use them, and what is left of them."""

import asyncio
import json
from asyncio.subprocess import Process
from pathlib import Path

import httpx
import pytest

from lab.notebooks.jupyter import copy_notebooks, jupyterlab


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """By which kernels meet no system."""
    (file := tmp_path / "notebooks.json").write_text('{"passwords": {}, "before": {"passwords": {}, "secret": "none"}}')
    return file


async def told(lab: Process) -> tuple[str, str]:
    """Return the address and the token that JupyterLab prints, from its folder."""
    variables = Path(f"/proc/{lab.pid}/environ").read_text().split("\0")
    [folder] = [line.partition("=")[2] for line in variables if line.startswith("JUPYTER_RUNTIME_DIR=")]
    async with asyncio.timeout(120):
        while not (file := Path(folder, f"jpserver-{lab.pid}.json")).exists() or not (text := file.read_text()):
            await asyncio.sleep(0.1)
    found = json.loads(text)
    return found["url"], found["token"]


async def test_it_asks_for_its_token_and_listens_on_this_machine_alone(file: Path, tmp_path: Path) -> None:
    patient = httpx.AsyncHTTPTransport(retries=8, trust_env=False)  # it says where it listens just before it does
    async with (
        jupyterlab(file, copy_notebooks(tmp_path / "copies")) as lab,
        httpx.AsyncClient(transport=patient) as http,
    ):
        url, token = await told(lab)
        stranger = await http.get(f"{url}api/contents/notebooks")
        known = await http.get(f"{url}api/contents/notebooks", headers={"Authorization": f"token {token}"})

    assert url.startswith("http://127.0.0.1:")
    assert (known.status_code, stranger.status_code) == (200, 403)
    assert "1_today.ipynb" in known.text
