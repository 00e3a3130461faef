"""`make new-agent` and `make new-tool`.

They edit every file that has to name a party, and keep the comments.  They approve nothing: that is `make register`,
after a look at what was written.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from registration.parties.add import add_agent, add_tool
from registration.parties.code import AGENT_TEMPLATE, TOOL_TEMPLATE
from registration.parties.project import Project
from registration.run_lock import PID_FILE, running_process
from zerotrust.errors import ZeroTrustError

ROOT = Path(__file__).parents[2]
USAGE = """\
usage: make new-agent NAME=auditor [TOOL=documents] [SCOPE=tool.read or NEW_SCOPE=tool.count]
       make new-tool NAME=ledger"""

OF_AGENT = "", "", ""
"""The arguments after an agent's name: tool, scope, new scope; an empty one counts as left out."""
Change = Callable[[Project], None]


def change_of(arguments: list[str]) -> Change | None:
    """Return what a command line asks for, or None if it is wrong.  All but the name may be empty."""
    match arguments:
        case [_, ""]:
            return None
        case ["new-agent", str(name), *rest] if name and len(rest) <= len(OF_AGENT):
            tool, scope, new_scope = [*rest, *OF_AGENT[len(rest) :]]
            return lambda project: _new_agent(project, name, tool, scope, new_scope)
        case ["new-tool", str(name)]:
            return lambda project: _new_tool(project, name)
    return None


def _new_agent(project: Project, name: str, tool: str, scope: str, new_scope: str) -> None:
    add_agent(project, name, tool or "documents", scope, new_scope)
    project.by_hand += [
        f"agents/{name}/main.py: what the agent is for. Now it is a copy of {AGENT_TEMPLATE},",
        "  with other rights: it lets the model call its one tool server.",
        "orchestrator/plan.py: when the agent takes part. Now it gets the tasks that begin",
        f'  with "{name.capitalize()}:".',
    ]


def _new_tool(project: Project, name: str) -> None:
    add_tool(project, name)
    project.by_hand += [
        f"tools/{name}/main.py: what its tool does. Now it is a copy of {TOOL_TEMPLATE},",
        "  and counts words.",
        f"To choose who may call it: `make new-agent NAME=clerk TOOL={name}` makes an agent that may.",
    ]


def report(project: Project, page: str) -> str:
    """Return what was done, by file, what remains, and the next step."""
    lines = ["Changed:"]
    for file, changes in project.done.items():
        lines += [f"  {file}", *(f"    {change}" for change in changes)]
    if project.by_hand:
        lines += ["For you to change:", *(f"  {line}" for line in project.by_hand)]
    return "\n".join([*lines, f"Next: make register. {page} has the whole way."])


def _describe_run(folder: Path) -> str:
    """Return what runs, and how to end it: the system, or that of `make demo`, of `make notebooks` and the like."""
    for file in sorted(folder.rglob(PID_FILE), key=lambda file: len(file.parts)):
        if process := running_process(file.parent):
            end = "`make down`" if file.parent == folder else "end that"
            where = "" if file.parent == folder else f" in run/{file.parent.relative_to(folder)}"
            return f"It runs{where}, as process {process}: {end}"
    return ""


def main(arguments: list[str]) -> int:
    """Run the command line.  Return the exit status."""
    change = change_of(arguments)
    if not change:
        print(USAGE, file=sys.stderr)
        return 2
    if running := _describe_run(ROOT / "run"):  # its parties would drift, and the registry among them
        print(f"{running} first, then repeat.", file=sys.stderr)
        return 1
    try:
        project = Project.at(ROOT)
        change(project)
        project.write()
    except (ZeroTrustError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report(project, f"docs/how-to/add-{'a-tool' if arguments[0].endswith('tool') else 'an-agent'}.md"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
