"""Leaves a program running: `make up` prints its output until it is ready, and ends; the program goes on by itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from start.program import INTERRUPTED, ROOT, console, showing_progress

READY = "`make hints` prints this again; `make down` ends it."
"""The line of output with which a start has succeeded; only notices follow."""


def leave_running(command: list[str]) -> int:
    """Start a program, print its output, and leave it running if it printed `READY`; return our exit status.

    A program that ends before has failed, whatever its own status.  If we are stopped by a signal, it is stopped, too,
    and waited for.
    """
    env = {**os.environ, "COLUMNS": str(console.width)}  # its output is a pipe, ours the terminal
    process = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, env=env, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    signals: list[int] = []

    def end(number: int, _frame: object) -> None:
        if not signals:  # a second signal would interrupt its orderly end
            process.terminate()
        signals.append(number)

    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, end)
    assert process.stdout  # noqa: S101 - a pipe, as requested
    ready = False
    with showing_progress("The program is loaded"):
        line = process.stdout.readline()
    while line:
        print(line, end="", flush=True)
        ready = ready or line.rstrip() == READY
        line = process.stdout.readline()
    if ready and not signals:
        return 0
    status = process.wait()  # after its last output it may still be ending
    if signals:
        console.print(INTERRUPTED)
        return 128 + signals[0]
    return status or 1


def detach(log: Path) -> None:
    """Close the pipe to the process that started us, and leave the terminal: from now on, output goes to `log`.

    A process that reads our output to its end would wait as long as we run, and a terminal would not close.
    """
    sys.stdout.flush()
    with log.open("ab") as file:
        for stream in sys.stdout, sys.stderr:
            os.dup2(file.fileno(), stream.fileno())
