"""The commands about tokens that are piped in.  They need no operator."""

import sys

import typer
from rich.text import Text

from zt.output import Json, console, output

token = typer.Typer(no_args_is_help=True)


@token.command("show")
def show_token(*, _json: Json = False) -> None:
    """Decode one token on standard input, or compare two.  Signatures are not verified."""
    from zt import tokens

    if sys.stdin.isatty():  # it would be shown, and stay on the screen
        output.fail("Pipe a token in, for example: scripts/run local token alice | zt token show", "no_token")
    try:
        found = [tokens.decode(one) for one in tokens.tokens_in(sys.stdin.read(tokens.MAX_INPUT + 1))]
    except (tokens.TokenError, UnicodeDecodeError) as error:
        output.fail(str(error), "malformed_token")
    document = {"signature_verified": False, "tokens": [{"header": one.header, "claims": one.claims} for one in found]}
    if len(found) == 1:
        output.show(document, tokens.one(found[0], console.width), Text(tokens.NOT_VERIFIED))
    else:
        first, second = found
        shown = tokens.compared(first, second, console.width)
        output.show(document | {"changes": tokens.changes(first, second)}, shown, Text(tokens.NOT_VERIFIED))
