"""JupyterLab and the kernels of the notebooks, real ones: who else can use them, and what is left of them."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from lab.notebooks.execute import PREFIX, PYTHON, Kernels, executed
from lab.notebooks.jupyter import JupyterLab, copied, jupyterlab
from local.system import HOST, ROOT

CELLS = """# %%
import os, re, sys
from pathlib import Path

def ports(process):
    \"\"\"The TCP ports that a process listens on.\"\"\"
    sockets = {os.readlink(file) for file in Path(f"/proc/{process}/fd").iterdir() if file.is_symlink()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(line[1].split(":")[1], 16) for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]

# %%
print(ports(os.getpid()), "of the kernel")
"""


in_the_modules_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jupyter")


@pytest.fixture(scope="module")
def kernels(folder: Path) -> Kernels:
    """Kernels that meet no system."""
    (file := folder / "notebooks.json").write_text('{"passwords": {}, "before": {"passwords": {}, "secret": "none"}}')
    return Kernels(PYTHON, file)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(kernels: Kernels, folder: Path) -> AsyncIterator[JupyterLab]:
    async with jupyterlab(kernels, folder / "log", HOST, 0, copied(folder / "copies")) as started:
        yield started


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=60, follow_redirects=True)


@asynccontextmanager
async def browser_at(lab: JupyterLab) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has opened the address."""
    async with client() as browser:
        assert (await browser.get(lab.address(HOST))).is_success
        yield browser


def url(lab: JupyterLab, path: str = "") -> str:
    return f"http://{HOST}:{lab.port}{lab.path}{path}"


def listening(process: int) -> list[int]:
    """The TCP ports that a process listens on."""
    found: dict[str, object] = {}
    exec(CELLS.split("# %%")[1], found)  # noqa: S102 - the same as in the kernel
    ports: list[int] = found["ports"](process)  # type: ignore[operator]
    return ports


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


async def started_kernel(lab: JupyterLab, browser: httpx.AsyncClient) -> tuple[str, int]:
    """Start a kernel as the page does; return its id and its process."""
    headers = {"X-XSRFToken": browser.cookies["_xsrf"], "Referer": lab.address(HOST)}
    before = children(lab.process.pid)
    made = (await browser.post(url(lab, "api/kernels"), json={"name": "zero-trust"}, headers=headers)).json()
    [process] = set(children(lab.process.pid)) - set(before)
    return made["id"], process


async def printed_by(lab: JupyterLab, kernel: str, code: str) -> str:
    """Return what a cell prints first."""
    header = {"msg_id": "1", "msg_type": "execute_request", "session": "1", "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    at = url(lab, f"api/kernels/{kernel}/channels").replace("http:", "ws:")
    async with connect(at, additional_headers={"Authorization": f"token {lab.token}"}, proxy=None) as channels:
        await channels.send(json.dumps(message))
        async for said in channels:
            if (answer := json.loads(said))["msg_type"] in {"stream", "error"}:
                return str(answer["content"].get("text", answer))
    raise AssertionError("the connection has ended")


@in_the_modules_loop
async def test_a_browser_sends_no_cookie_of_it_to_another_port_of_this_machine(lab: JupyterLab) -> None:
    got = list[str]()

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer((HOST, 0), Other) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        async with browser_at(lab) as browser:
            for path in "/", "/lab/tree", lab.path:
                await browser.get(f"http://{HOST}:{other.server_port}{path}")
            contents = await browser.get(url(lab, "api/contents"), headers={"Referer": lab.address(HOST)})
        other.shutdown()

    assert contents.status_code == 200  # by its cookie alone
    assert got[:2] == ["", ""]
    assert "username-" in got[2]  # so that the two before say something


@in_the_modules_loop
async def test_whoever_does_not_know_its_path_is_told_nothing(lab: JupyterLab, folder: Path) -> None:
    async with client() as stranger:
        for path in "/", "/lab", "/login", "/api", "/static/favicons/favicon.ico", "/nowhere", "//", lab.path[:-2]:
            answer = await stranger.get(f"http://{HOST}:{lab.port}{path}")
            assert answer.status_code == 404
            assert lab.path[:-2] not in answer.text + str(answer.headers)

    public = Path(f"/proc/{lab.process.pid}/cmdline").read_text()
    assert not [secret for secret in (lab.path.strip("/"), lab.token) if secret in public]
    assert (folder / "log").stat().st_mode & 0o077 == 0


@in_the_modules_loop
async def test_it_asks_for_its_token_runs_no_terminals_and_tells_no_other_site_where_it_is(lab: JupyterLab) -> None:
    token = {"Authorization": f"token {lab.token}"}
    async with client() as somebody:
        assert (await somebody.get(url(lab, "api/kernels"), headers=token)).status_code == 200
        assert (await somebody.get(url(lab, "lab"), headers=token)).headers["Referrer-Policy"] == "same-origin"
        assert (await somebody.post(url(lab, "api/terminals"), headers=token)).status_code == 404
        foreign = token | {"Host": "elsewhere.example"}
        assert (await somebody.get(url(lab, "api/kernels"), headers=foreign)).status_code == 403
    async with client() as somebody:
        assert (await somebody.get(url(lab, "api/kernels"))).status_code == 403


@in_the_modules_loop
async def test_no_kernel_listens_on_a_port_and_none_has_a_secret_of_jupyterlab_among_its_variables(
    lab: JupyterLab,
) -> None:
    async with browser_at(lab) as browser:
        kernel, process = await started_kernel(lab, browser)

        assert listening(lab.process.pid) == [lab.port]
        assert await printed_by(lab, kernel, CELLS) == "[] of the kernel\n"
        variables = Path(f"/proc/{process}/environ").read_text()
        assert "ZT_NOTEBOOKS" in variables
        assert not re.search(rf"JUPYTER_TOKEN|{lab.token}|{lab.path.strip('/')}", variables)


async def test_no_kernel_that_executes_a_notebook_listens_on_a_port(kernels: Kernels, tmp_path: Path) -> None:
    (source := tmp_path / "a.py").write_text(CELLS)

    assert "[] of the kernel" in await executed(source, kernels)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files; pytest's have too long a path for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


UNTIL_KILLED = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from lab.notebooks.execute import PYTHON, Kernels
from local.program import until_stopped
from lab.notebooks.jupyter import copied, jupyterlab
from tests.lab.test_jupyter import HOST, browser_at, started_kernel

async def main():
    folder = Path(sys.argv[1])
    kernels, copies = Kernels(PYTHON, folder / "none.json"), copied(folder / "copies")
    async with jupyterlab(kernels, folder / "log", HOST, 0, copies) as lab:
        async with browser_at(lab) as browser:
            print(lab.process.pid, (await started_kernel(lab, browser))[1], flush=True)
        await lab.process.wait()

sys.exit(until_stopped(main()))
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


async def test_a_cell_leaves_nothing_that_a_later_notebook_runs(kernels: Kernels, tmp_path: Path) -> None:
    (plants := tmp_path / "a.py").write_text("""# %%
import os
from pathlib import Path
(startup := Path(os.environ["IPYTHONDIR"], "profile_default", "startup")).mkdir(parents=True, exist_ok=True)
(startup / "0.py").write_text("print('planted'); planted = True")
print("planting")
""")
    (later := tmp_path / "b.py").write_text("# %%\nprint('planted' in globals())\n")

    assert "planting" in await executed(plants, kernels)
    assert json.loads(await executed(later, kernels))["cells"][0]["outputs"][0]["text"] == ["False\n"]
