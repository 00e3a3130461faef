"""Starting where something is in the way: one sentence with the cause and the next step, status 1, no stack trace."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registration.run_lock import RunError
from start.background import READY
from start.everything import running
from start.system import ROOT, System
from tests.support.real import RUN

UNTIL_STOPPED = """
import asyncio, sys
from start.program import run_until_stopped
async def main():
    print("up", flush=True)
    await asyncio.sleep(600)
sys.exit(run_until_stopped(main()))
"""


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [
        (signal.SIGINT, 130, "Interrupted; everything that was started has ended.\n"),
        (signal.SIGTERM, 0, ""),
        (signal.SIGHUP, 0, ""),
    ],
)
def test_ctrl_c_ends_everything_and_does_not_look_like_success(number: int, status: int, says: str) -> None:
    hung_up = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)"  # whatever runs these tests may ignore it
    command = [sys.executable, "-c", f"{hung_up}\n{UNTIL_STOPPED}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.stdout.read() == says
    assert process.returncode == status


LEFT_RUNNING = """
import sys
from start.background import leave_running
sys.exit(leave_running([sys.executable, "-c", *sys.argv[1:]]))
"""

SAYS_AND_ENDS_LATER = """
import os, sys, time
print(sys.argv[1], flush=True)
os.close(1)
time.sleep(1)
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("says", "ends", "status"),
    [(READY, 3, 0), (f"{READY}\n\nagent/writer is suspended", 3, 0), ("Port 8103 is in use.", 3, 3), ("", 0, 1)],
    ids=["left running", "left running, with a notice", "failed", "told to end by somebody else"],
)
def test_make_up_has_succeeded_where_everything_is_said_to_run_and_nowhere_else(
    says: str, ends: int, status: int
) -> None:
    """Whoever has closed his end of the pipe may still be ending, so there is no telling by that."""
    command = [sys.executable, "-c", LEFT_RUNNING, SAYS_AND_ENDS_LATER, says, str(ends)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.returncode, done.stdout, done.stderr) == (status, f"{says}\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_make_up_ends_everything_and_says_so(number: int) -> None:
    command = [sys.executable, "-c", LEFT_RUNNING, UNTIL_STOPPED]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        said = process.stdout.read()  # to its end, so whoever could still write there is gone
    assert (process.returncode, said) == (128 + number, "Interrupted; everything that was started has ended.\n")


LEAVES = """
import os, sys
from pathlib import Path
from start.background import READY, detach
print(READY)
detach(Path(sys.argv[1]))
Path(sys.argv[2]).write_text(str([os.isatty(number) for number in range(3)]))
"""


def test_what_make_up_leaves_running_keeps_nothing_of_the_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    answer = tmp_path / "answer"
    os.mkfifo(answer)
    command = [sys.executable, "-c", LEFT_RUNNING, LEAVES, str(tmp_path / "log"), str(answer)]
    done = subprocess.run(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, check=False)  # noqa: S603
    kept = answer.read_text()
    os.close(theirs)
    os.close(ours)

    assert (done.returncode, kept) == (0, "[False, False, False]")


LET_GO = """
import sys
from pathlib import Path
from start.background import detach
print("ready", flush=True)
detach(Path(sys.argv[1]))
print("the reader has ended", flush=True)
sys.stdin.read()
"""


def test_whoever_reads_what_make_up_prints_comes_to_its_end_while_it_runs_on(tmp_path: Path) -> None:
    command, log = [sys.executable, "-c", LET_GO, str(tmp_path / "log")], tmp_path / "log"
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603
        assert process.stdout
        assert process.stderr
        assert (process.stdout.read(), process.stderr.read()) == ("ready\n", "")
        assert process.poll() is None
        process.communicate("")
    assert log.read_text() == "the reader has ended\n"


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="session")
async def test_a_second_start_in_the_same_clone_is_told_which_process_is_the_first(real: System) -> None:
    with pytest.raises(RunError, match=r"^It runs already, as process \d+: `make down` ends it\.$"):
        async with running(RUN, say=print):
            pass
