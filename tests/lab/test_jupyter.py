"""JupyterLab and the kernels of the notebooks, real ones: who can use them, and what is left of them."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lab.notebooks.execute import PREFIX, execute_notebook
from lab.notebooks.jupyter import copy_notebooks, jupyterlab
from start.system import ROOT

PATIENT = {"all://": httpx.AsyncHTTPTransport(retries=8, trust_env=False)}
"""For JupyterLab, which says where it listens just before it does."""


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


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


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


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files that the program makes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


UNTIL_KILLED = f"""
import asyncio, signal, sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever runs these tests may have it ignored
sys.path.insert(0, {str(ROOT)!r})
import httpx
from start.program import run_until_stopped
from lab.notebooks.jupyter import copy_notebooks, jupyterlab
from tests.lab.test_jupyter import PATIENT, children, told

async def main():
    folder = Path(sys.argv[1])
    async with jupyterlab(folder / "none.json", copy_notebooks(folder / "copies")) as lab:
        url, token = await told(lab)
        async with httpx.AsyncClient(mounts=PATIENT, timeout=60) as http:
            kernel, known = {{"name": "zero-trust"}}, {{"Authorization": "token " + token}}
            (await http.post(url + "api/kernels", json=kernel, headers=known)).raise_for_status()
        print(lab.pid, *children(lab.pid), flush=True)
        await lab.wait()

sys.exit(run_until_stopped(main()))
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_with_the_program_everything_ends_that_it_has_started(
    tmp_path: Path, short: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(short)}) as program:  # noqa: S603 - the text above
        assert program.stdout
        started = [os.pidfd_open(int(pid)) for pid in program.stdout.readline().split()]
        assert len(started) == 2
        program.send_signal(number)
        program.wait()
        for one in started:
            assert select.select([one], [], [], 60)[0]
            os.close(one)

    left = [folder.name for folder in short.glob(f"{PREFIX}*")]
    assert bool(left) == (number == signal.SIGKILL)


async def test_a_cell_leaves_nothing_that_a_later_notebook_runs(file: Path, tmp_path: Path) -> None:
    (plants := tmp_path / "a.py").write_text("""# %%
import os
from pathlib import Path
(startup := Path(os.environ["IPYTHONDIR"], "profile_default", "startup")).mkdir(parents=True, exist_ok=True)
(startup / "0.py").write_text("print('planted'); planted = True")
print("planting")
""")
    (later := tmp_path / "b.py").write_text("# %%\nprint('planted' in globals())\n")

    assert "planting" in await execute_notebook(plants, file)
    assert json.loads(await execute_notebook(later, file))["cells"][0]["outputs"][0]["text"] == ["False\n"]
