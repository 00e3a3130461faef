"""The attacks on the system of figure 1, told one by one, under what the first post calls its gaps; then figure 3."""

from typing import NamedTuple

from rich.text import Text

from demo.parts import begin, paragraph
from lab.before import attacks
from lab.before.attacks import Run, Seen, tried
from lab.before.llama_stack.story import INTRODUCTION as FIGURE_3
from lab.before.llama_stack.story import attacked
from lab.before.one_token.realm import realm
from lab.before.one_token.running import one_token
from lab.before.system import System
from local.llama_stack import OGX
from local.program import FOLDER, console, say
from local.start import running

NO_OGX = (
    "Figure 3's system, which passes tokens on to a real Llama Stack server, needs an environment of its own: Python "
    "3.12 or newer, and 160 MB. `make .ogx/ready` makes it."
)


class Gap(NamedTuple):
    """What the post calls it, what that means here, and the attacks that show it."""

    called: str
    meaning: str
    attacks: dict[Run, str]


GAPS = (
    Gap(
        "Endpoint protection is surface-deep",
        "Only the front door checks a token. Whoever is behind it is believed.",
        {
            attacks.call_behind_the_front_door: "a program without credentials calls an agent behind the front door",
            attacks.take_an_identity: "a program that is no party copies the secret, and gets a token of its own",
            attacks.spend_the_tools_token_at_the_front_door: "a token stolen at the tool works at the front door",
            attacks.open_every_door: "what the reader has for the tool opens other doors",
            attacks.call_whom_nobody_foresaw: "the reader has the writer work for it, which nobody foresaw",
        },
    ),
    Gap(
        "The chain breaks across MCP boundaries",
        "The tool sees a key and a token of the application: not for whom it is called, and not through whom.",
        {
            attacks.have_the_forecast_read: "finance's forecast leaks to alice, of engineering, by a poisoned report",
            attacks.have_the_report_overwritten: "the poisoned report has a published report overwritten",
            attacks.ask_without_a_department: "eve, of no department, gets engineering's reports summarized",
            attacks.use_it_from_elsewhere: "another program reads with what the reader sent to the tool",
            attacks.leave_no_name: "the audit trail is asked for whom the tool was called",
        },
    ),
    Gap(
        "Verification without continuity",
        "What was checked once counts until the token ends.",
        {
            attacks.go_on_after_sign_out: "alice has signed out, and what she was given works on",
            attacks.go_on_with_changed_code: "the writer's code is changed, and it calls the tool as before",
        },
    ),
)


async def story() -> int:
    """Start Keycloak, attack the systems before one after the other, and end everything."""
    async with running(FOLDER / "before", say=say, parties=lambda _: {}) as system:
        async with realm(system.keycloak) as users, one_token(users, system.folder / "one-token") as there:
            found = await tell(there)
        begin("The end of figure 1")
        paragraph(
            f"{sum(seen.succeeded for seen in found.values())} of {len(found)} attacks succeeded there. "
            "`make compare` makes the same ones on the real system, too."
        )
        begin("Figure 3")
        if OGX.exists():
            paragraph(FIGURE_3)
            console.print()
            await attacked(system)
        else:
            paragraph(NO_OGX)
    return 0


async def tell(system: System) -> dict[Run, Seen]:
    """Try all attacks, and tell what came of each."""
    found = dict[Run, Seen]()
    for gap in GAPS:
        begin(gap.called, gap.meaning)
        for run, what in gap.attacks.items():
            seen = found[run] = await tried(system, run)
            mark = ("succeeded", "red") if seen.succeeded else ("did not succeed", "green")
            paragraph(Text(what, "bold"), hanging=2)
            paragraph(Text.assemble(mark, f": {seen.happened}"), indent=2, hanging=2)
    return found
