"""The program `zt`.  Its commands need an extra, and without that it ends with one sentence, not with a traceback."""

import sys

from zerotrust.adapters.extras import MissingExtra


def main() -> None:
    """Run the command line."""
    try:
        from zt.commands import app  # noqa: PLC0415 - here, because it needs the extra
    except MissingExtra as missing:
        sys.exit(str(missing))
    app(prog_name="zt")


if __name__ == "__main__":
    main()
