"""Common parts of all programs here: output, folder, and how they end."""

import asyncio
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import HORIZONTALS
from rich.console import RenderableType
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from start.progress import SAID_AFTER
from zt.terminal import Terminal

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "run"
INTERRUPTED = "Interrupted; everything that was started has ended."


# If the output is not a terminal: as wide as COLUMNS says, or wide enough for the tables.
console = Terminal(width=None if sys.stdout.isatty() else shutil.get_terminal_size((120, 24)).columns, highlight=False)
_began = time.monotonic()
_MARGIN = " " * len("  0.0 s  ")
"""Before each further line of one message."""


def say(text: str | Text) -> None:
    """Print one line of progress, with the seconds since the start.  A `str` is never interpreted as markup."""
    # control: progress-without-markup
    lines = Text.assemble(text).wrap(console, max(20, console.width - len(_MARGIN)))
    since = Text(f"{time.monotonic() - _began:5.1f} s  ", "dim")
    console.print(since.append_text(Text(f"\n{_MARGIN}").join(lines)))


@contextmanager
def progress_line(what: str) -> Iterator[None]:
    """Show on a terminal for how many seconds `what` goes on, below all other output, as long as the block runs."""
    columns = TextColumn(what, markup=False), TimeElapsedColumn()
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, refresh_per_second=1, disable=not shown) as progress:
        progress.add_task(what)
        yield


@contextmanager
def showing_progress(what: str) -> Iterator[None]:
    """As `progress_line`, and where there is no terminal, say after 2, 4, 8 ... seconds that `what` goes on."""
    began, ended = time.monotonic(), threading.Event()

    def tell() -> None:
        seconds = SAID_AFTER
        while not ended.wait(began + seconds - time.monotonic()):
            say(f"{what}: {seconds} s so far")
            seconds *= 2

    telling = threading.Thread(target=tell, daemon=True)  # the block may hold up an event loop
    with progress_line(what):
        if not console.is_terminal:
            telling.start()
        try:
            yield
        finally:
            ended.set()
            if telling.ident:
                telling.join()


def show(columns: Iterable[str], rows: Iterable[Iterable[RenderableType]], *, right: bool = False, **how: Any) -> None:
    """Print a table; `right`: all columns but the first are numbers.  `how`: further options of the table."""
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0), **how)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if right and number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def paragraph(text: str | Text, *, indent: int = 0, hanging: int = 0) -> None:
    """Print a paragraph that is broken between words; `hanging`: further columns before each line but the first."""
    whole = Text(text) if isinstance(text, str) else text
    width = max(20, console.width - indent)
    first = whole.wrap(console, width)[0]
    rest = whole[len(first) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    lines = [first, *(rest.wrap(console, max(20, width - hanging)) if rest else ())]
    margin = "\n" + " " * (indent + hanging)
    console.print(Text(" " * indent).append_text(Text(margin).join(lines)))


def run_until_stopped(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` until it ends or is stopped by a signal.  Return the exit status; print expected errors."""

    async def work_until_stopped() -> int:
        work, loop = asyncio.create_task(main), asyncio.get_running_loop()
        hangs_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []  # else: nohup
        for number in (signal.SIGTERM, signal.SIGINT, *hangs_up):
            loop.add_signal_handler(number, work.cancel, number.name)
        try:
            return await work
        except asyncio.CancelledError as stopped:
            if stopped.args != ("SIGINT",):
                return 0
            console.print(INTERRUPTED)
            return 128 + signal.SIGINT

    try:
        return asyncio.run(work_until_stopped())
    except Exception as error:
        if not isinstance(error, _expected_errors()):
            raise
        console.print(Text(cause_of(error), style="red"))
        return 1


def cause_of(error: Exception) -> str:
    """Return an error's text for people; for an unexpected error, also its name and its place."""
    if isinstance(error, _expected_errors()):
        return str(error) or type(error).__name__  # a timeout has no text
    *_, place = traceback.extract_tb(error.__traceback__)
    return f"{error!r} in {Path(place.filename).name}, line {place.lineno}"


def _expected_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions whose text is shown to the user.  Imported late, for that takes long."""
    import httpx  # noqa: PLC0415

    from authorities.attestation.local.launch import LaunchError  # noqa: PLC0415
    from authorities.attestation.process.closed import NotClosedError  # noqa: PLC0415
    from authorities.attestation.verifier.measure import MeasureError  # noqa: PLC0415
    from registration.run_lock import RunError  # noqa: PLC0415
    from start.errors import KeycloakError  # noqa: PLC0415
    from start.llama_stack.server import LlamaStackError  # noqa: PLC0415
    from zerotrust.authority.files.reading import RegistryError  # noqa: PLC0415
    from zt.errors import CommandError  # noqa: PLC0415
    from zt.people.login import LoginError  # noqa: PLC0415

    ours = CommandError, RunError, KeycloakError, LaunchError, LlamaStackError, LoginError, MeasureError
    return (*ours, NotClosedError, RegistryError, OSError, httpx.HTTPError)
