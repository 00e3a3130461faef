"""The program `zt`.  Without the extra that its commands need, it ends with one sentence and no traceback."""

import signal
import sys
from types import FrameType

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    """Run the command line."""
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has a signal ignored
            signal.signal(number, _interrupt)
    try:
        from zt.commands import app  # here, because it needs the extra
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: `zt` comes with the extra `zt` of this package.")
    app(prog_name="zt")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the command as an interrupt from the keyboard does: a sign-in that is not kept still ends.

    Once: a terminal that closes sends several of these signals.
    """
    for number in ENDING:
        signal.signal(number, lambda *_: None)  # `SIG_IGN` would warn of one that is pending
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
