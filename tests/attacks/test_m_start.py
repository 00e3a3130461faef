"""M. Another process of the same user, while the process that will hold the keys is starting."""

import asyncio
import errno
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.project_copy import copy_of_the_project
from lab.without import Control
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.spy import ORDINARY

# What start/run.py does, but that some controls are missing.
BOOTSTRAP = """
import pickle, sys
sys.path.append(sys.argv.pop(1))
from lab.without import without
from start import run
with without(*pickle.loads(bytes.fromhex(sys.argv.pop(1)))):
    run.main()
"""


def start(project: Path, missing: Sequence[Control], *arguments: str, **env: str) -> subprocess.Popen[str]:
    """Run `start/run start`, without the controls that are `missing`."""
    command = [str(project / "start" / "run")]
    if missing:
        controls = pickle.dumps(missing).hex()
        flags = ["-I", "-S", "-B", "-X", "pycache_prefix=/dev/null"]
        command = [str(project / ".venv" / "bin" / "python"), *flags, "-c", BOOTSTRAP, str(project), controls]
    pipe, env = subprocess.PIPE, {"PATH": os.environ["PATH"], **env}
    return subprocess.Popen(  # noqa: S603
        [*command, "start", *arguments], env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True, **ORDINARY
    )


# --- Its memory -------------------------------------------------------------------------------------------------------

GENUINE, PLANTED = "GENUINE-ARGUMENT", "PLANTED-ARGUMENT"

# Replaces one text by another in all of a process's memory.
WRITER = """
import os, re, sys

pid, old, new = sys.argv[1], *map(os.fsencode, sys.argv[2:])
try:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    maps = open(f"/proc/{pid}/maps").read()
except PermissionError:
    sys.exit("refused")
for begin, end in re.findall("^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
    begin, end = int(begin, 16), int(end, 16)
    try:
        content = os.pread(memory, end - begin, begin)
    except OSError:
        continue
    for found in re.finditer(old, content):
        os.pwrite(memory, new, begin + found.start())
print("written")
"""


def overwritten(place: Path, missing: Sequence[Control]) -> tuple[str, str]:
    """Write to the process while it compares what is installed with the pin; return what writer and process said.

    The pin is a pipe here: the process waits at it for as long as the attack takes.
    """
    project = copy_of_the_project(place / "project")
    pin = project / ".venv" / "environment.json"
    genuine = pin.read_bytes()
    pin.unlink()
    os.mkfifo(pin)
    with start(project, missing, GENUINE) as process:
        with os.fdopen(read_by(process, pin), "wb") as pipe:
            writer = [sys.executable, "-I", "-c", WRITER, str(process.pid), GENUINE, PLANTED]
            done = subprocess.run(writer, capture_output=True, text=True, check=False, **ORDINARY)  # noqa: S603
            pipe.write(genuine)
        said, _ = process.communicate()
    return (done.stdout + done.stderr).strip(), said


def read_by(process: subprocess.Popen[str], pipe: Path) -> int:
    """Wait until `process` reads from a named pipe; return the other end."""
    while process.poll() is None:
        try:
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
            time.sleep(0.01)
        else:
            os.set_blocking(end, True)
            return end
    raise AssertionError(process.communicate())


@attack(186, Scene)
async def test_writing_to_the_process_before_it_holds_secrets(scene: Scene) -> Tries:
    wrote, said = await asyncio.to_thread(overwritten, scene.place, scene.missing)
    assert f"No such command '{PLANTED if wrote == 'written' else GENUINE}'" in said
    yield Attempt(wrote, wrote == "written")
