"""The code of a new party: a copy of code that runs here, with other names."""

import re

from registration.parties.project import PartyError, Project

AGENT_TEMPLATE, TOOL_TEMPLATE = "agents/writer/main.py", "registration/tool_template.py"


def folder_of(party: str) -> str:
    """Return the folder of an agent or a tool: `agents/auditor`."""
    return party.replace("/", "s/", 1)


def agent_code(project: Project, name: str, server: str, scope: str) -> dict[str, str]:
    """Return the files of an agent, by path: the writer, with other names.  Raises `PartyError`."""
    code, title = project.text(AGENT_TEMPLATE), name.capitalize()
    for old, new in (
        (r"Writer: [^\n]*", f"{title}: the agent that calls {server} with {scope}, and may do nothing else."),
        (r"Return the writer, guarded\.", f"Return the {name}, guarded."),
        ('"agent/writer"', f'"agent/{name}"'),
        ('"tool/documents"', f'"{server}"'),
        (r'"tool\.write"', f'"{scope}"'),
        (r"the right to write only", f"{scope} only"),
        (r"(?<!/)\bdocuments\b", "tool"),
    ):
        code, found = re.subn(old, new, code)
        if not found:
            raise PartyError(
                f"{AGENT_TEMPLATE}, from which agents are made, has no {old}: write agents/{name} by hand."
            )
    return {f"agents/{name}/__init__.py": f'"""The {name} agent."""\n', f"agents/{name}/main.py": code}


def tool_code(project: Project, name: str) -> dict[str, str]:
    """Return the files of a tool server, by path: the template, with other names."""
    template = project.text(TOOL_TEMPLATE)
    code = re.sub(r"\bexample\b", name, template.replace("Example:", f"{name.capitalize()}:"))
    return {f"tools/{name}/__init__.py": f'"""The {name} tool server."""\n', f"tools/{name}/main.py": code}
