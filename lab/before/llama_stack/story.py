"""The attacks on the pass-through of figure 3, and what came of each."""

from rich.text import Text

from demo.parts import begin
from lab.before.llama_stack.attacks import ATTACKS
from lab.before.llama_stack.running import Before, before
from start.program import busy, paragraph, say
from start.system import System

INTRODUCTION = (
    "The system that figure 3 of the series draws as today's. alice's client calls an agent. The agent hands her own "
    "token to a Llama Stack server, and with it the static key of its tool. The server checks that one token, asks the "
    "model, and calls the tool with the key. Server and Keycloak are the real ones; documents, their poison and the "
    "model's rules are those of this project. What the same attacks come to in this project is in "
    "docs/how-to/models.md, beside these."
)


async def attacked(system: System) -> None:
    """Start the pass-through beside a running Keycloak, and attack it."""
    say("The Llama Stack server starts")
    async with before(system.keycloak, system.authority.ca_file, system.folder / "llama-stack") as there:
        await attack_all(there)


async def attack_all(there: Before) -> int:
    """Try all attacks, show what came of each, and return how many succeeded."""
    begin("What happens there")
    succeeded = 0
    for what, attack in ATTACKS.items():
        there.documents.reset()
        with busy("The attack is made"):
            seen = await attack(there)
        succeeded += seen.succeeded
        verdict = ("succeeded", "red") if seen.succeeded else ("did not succeed", "green")
        paragraph(Text(what, "bold"))
        paragraph(Text.assemble(verdict, f"; {seen.happened}"), indent=2)
    paragraph(f"{succeeded} of {len(ATTACKS)} attacks succeeded there.")
    return succeeded
