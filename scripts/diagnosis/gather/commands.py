"""Runs programs, each with a time limit and bounded output, and says when something takes long."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECONDS = 10
"""For one program."""
MOST = 1 << 20
"""Bytes of output that are looked at."""
SAID_AFTER = 2
"""Seconds after which a step reports that it still runs; and again each time that it has taken twice as long."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended.  Without a status, it was not there, or too slow."""

    status: int | None
    out: bytes = b""
    err: str = ""

    @property
    def text(self) -> str:
        """Its output."""
        return self.out.decode(errors="replace")


def run(*command: str, seconds: float = SECONDS, most: int = MOST) -> Ran:
    """Run a program to its end, and end it with its own children if it is too slow.  `most`: bytes of its output."""
    try:
        process = subprocess.Popen(  # noqa: S603 - none of it comes from outside
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        return Ran(None, err=str(error.strerror))
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Ran(None, err=f"no answer within {seconds:.0f} s")
    return Ran(process.returncode, out[-most:], err[-MOST:].decode(errors="replace"))


@contextmanager
def going_on(what: str) -> Iterator[None]:
    """Say on standard error that `what` still goes on, while the block runs."""
    over = threading.Event()
    began = time.monotonic()

    def tell() -> None:
        after = SAID_AFTER
        while not over.wait(began + after - time.monotonic()):
            print(f"{what}: {after} s so far", file=sys.stderr, flush=True)
            after *= 2

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()
