"""The attacks on the pass-through of figure 3, told one by one; and, for each, what stops it in this project."""

from typing import NamedTuple

from rich.text import Text

from demo.parts import begin, paragraph
from lab.before.llama_stack import attacks
from lab.before.llama_stack.attacks import ATTACKS, Run, Seen, tried
from lab.before.llama_stack.running import Before, before
from local.program import busy, say
from local.system import System

INTRODUCTION = (
    "The system that figure 3 of the series draws as today's. alice's client calls an agent. The agent hands her own "
    "token to a Llama Stack server, and with it the static key of its tool. The server checks that one token, asks the "
    "model, and calls the tool with the key. Server and Keycloak are the real ones; documents, their poison and the "
    "model's rules are those of this project."
)


class Here(NamedTuple):
    """What stops an attack in this project, why, and which page shows it."""

    control: str
    why: str
    page: str


HERE: dict[Run, Here] = {
    attacks.ask_without_a_token: Here("gate: credentials", "the same, at every party", "docs/learn/walkthrough.md"),
    attacks.read_the_forecast: Here(
        "policy: department", "an agent may read what its user may read, and no more", "docs/learn/walkthrough.md"
    ),
    attacks.overwrite_the_report: Here(
        "gate: scope of the tool",
        "the reader's token cannot write, the writer's cannot read",
        "docs/learn/walkthrough.md",
    ),
    attacks.ask_without_a_department: Here(
        "policy: department",
        "a task works in one department of its user, and eve has none",
        "docs/learn/walkthrough.md",
    ),
    attacks.spend_the_token_elsewhere: Here(
        "gate: audience, binding",
        "each hop has a token of its own, for one party and from one",
        "docs/how-to/models.md",
    ),
    attacks.take_the_tools_key: Here(
        "gate: signature",
        "no key opens the tool: it wants a token of this user, from this caller",
        "docs/how-to/models.md",
    ),
    attacks.go_on_after_sign_out: Here(
        "gate: revocation", "each call asks whether the session still stands", "docs/explain/revocation.md"
    ),
    attacks.ask_the_record: Here(
        "journals", "each record names the user and everyone who acted for them", "docs/reference/audit-events.md"
    ),
}


async def attacked(system: System) -> None:
    """Start the pass-through beside a running Keycloak, and attack it."""
    say("The Llama Stack server starts")
    async with before(system.keycloak, system.authority.ca_file, system.folder / "llama-stack") as there:
        await attack_all(there)


async def attack_all(there: Before) -> dict[Run, Seen]:
    """Try all attacks, and show what came of each, beside what stops it in this project."""
    begin(
        "What happens there, and what stops it here",
        "Each attack is made there. What stops it here is only named (not run now: `make attacks` runs it).",
    )
    found = dict[Run, Seen]()
    for attack in ATTACKS:
        with busy("The attack is made"):
            seen = found[attack.run] = await tried(there, attack)
        verdict = ("succeeded", "red") if seen.succeeded else ("did not succeed", "green")
        control, why, page = HERE[attack.run]
        paragraph(Text(attack.called, "bold"))
        paragraph(Text.assemble("there  ", verdict, f"; {seen.happened}"), indent=2, hanging=7)
        paragraph(Text.assemble("here   ", (control, "cyan"), f": {why} ({page})"), indent=2, hanging=7)
    begin("The end of figure 3")
    succeeded = sum(seen.succeeded for seen in found.values())
    paragraph(f"{succeeded} of {len(found)} attacks succeeded there. docs/how-to/models.md has both side by side.")
    return found
