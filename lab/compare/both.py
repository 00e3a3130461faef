"""Starts both systems, attacks both, shows what came of it, and writes the page."""

from demo.intruder import INSIDERS
from demo.parts import paragraph
from lab.before.one_token.realm import realm
from lab.before.one_token.running import one_token
from lab.compare.comparison import compared, cost
from lab.compare.page import page
from lab.compare.real import real
from lab.compare.table import show_cost, show_end, show_rows
from local.program import FOLDER, alive, say
from local.start import running
from local.system import ROOT

PAGE = FOLDER / "compare.html"


async def compare() -> int:
    """Compare them.  Return the exit status: 1 if an answer is not as expected."""
    folder = FOLDER / "before"  # Keycloak is built in it already, if `make before` has run
    with alive("Both systems start, and are attacked"):
        async with (
            running(folder, say=say, insiders=INSIDERS) as system,
            realm(system.keycloak) as users,
            one_token(users, system.folder / "one-token") as before,
            real(system) as after,
        ):
            say("The attacks begin, each on both systems")
            rows = await compared(before, after, say)
            say("What an honest task costs on both is measured")
            costs = await cost(before), await cost(after)
    show_rows(rows)
    show_cost(*costs)
    show_end(rows)
    PAGE.write_text(page(rows, *costs))
    paragraph(f"As a page: {PAGE.relative_to(ROOT)}")
    return 1 if any(row.wrong for row in rows) else 0
