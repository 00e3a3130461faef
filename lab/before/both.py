"""Starts both systems, attacks both, and shows what came of it; then attacks the system of figure 3."""

from demo.intruder import INSIDERS
from demo.parts import begin, paragraph
from lab.before.comparison import compared
from lab.before.llama_stack.story import INTRODUCTION as FIGURE_3
from lab.before.llama_stack.story import attacked
from lab.before.one_token.realm import realm
from lab.before.one_token.running import one_token
from lab.before.real import real
from lab.before.table import show_end, show_rows
from local.llama_stack import OGX
from local.program import FOLDER, alive, console, say
from local.start import running

NO_OGX = (
    "Figure 3's system, which passes tokens on to a real Llama Stack server, needs an environment of its own: Python "
    "3.12 or newer, and 160 MB. `make .ogx/ready` makes it."
)


async def compare() -> int:
    """Compare them.  Return the exit status: 1 if an answer is not as expected."""
    async with running(FOLDER / "before", say=say, insiders=INSIDERS) as system, real(system) as after:
        async with realm(system.keycloak) as users, one_token(users, system.folder / "one-token") as before:
            with alive("Both systems are attacked"):
                say("The attacks begin, each on both systems")
                rows = await compared(before, after, say)
        show_rows(rows)
        show_end(rows)
        begin("Figure 3")
        if OGX.exists():
            paragraph(FIGURE_3)
            console.print()
            await attacked(system)
        else:
            paragraph(NO_OGX)
    return 1 if any(row.wrong for row in rows) else 0
