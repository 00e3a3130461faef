"""Adds an agent or a tool server to the project, in memory."""

import keyword
import re

from registration.derived.compose import names_in_use
from registration.names import PLANNER, SCHEMA
from registration.parties.code import agent_code, folder_of, tool_code
from registration.parties.project import PartyError, Project
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.registry.model import Registry

NAME = r"[a-z]{2,20}"
SCOPE = r"tool\.[a-z]{1,20}"
OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null"})
"""Words that programs which read YAML 1.1 take for values; `y` and `n` are shorter than a name."""
MODEL = "inference.run, llama.chat"
"""The scopes that an agent needs to use the model."""
FIRST_PORT, LAST_PORT = 8101, 8199


def add_agent(project: Project, name: str, tool: str, scope: str, new_scope: str) -> None:
    """Add the agent `agent/NAME`, which calls `tool/TOOL` with one scope, which it has already or which is new.

    Raises `PartyError`.
    """
    party, server = f"agent/{name}", f"tool/{tool}"
    _check_name(project, name, party)
    scope = _scope(project.registry, tool, scope, new_scope)
    if scope not in project.registry.scopes:
        add_scope(project, scope, server)
    for path, text in agent_code(project, name, server, scope).items():
        project.create(path, text)
    rights = f"    may_call: [{server}, inference]\n    delegates: [{scope}, {MODEL}]\n    max_ttl: 60\n"
    add_party(project, party, rights)
    project.extend("agent.invoke", "served_by", party)
    project.extend(PLANNER, "may_call", party)
    for holder in delegators(project.registry):
        if scope not in project.registry.parties[holder].delegates:
            project.extend(holder, "delegates", scope)


def add_tool(project: Project, name: str) -> None:
    """Add the tool server `tool/NAME`, which serves the scope `tool.NAME`.  Raises `PartyError`."""
    party, scope = f"tool/{name}", f"tool.{name}"
    _check_name(project, name, party)
    if scope in project.registry.scopes:
        raise PartyError(
            f"There is a scope {scope} already, served by {', '.join(project.registry.scopes[scope].served_by)}."
        )
    for path, text in tool_code(project, name).items():
        project.create(path, text)
    add_scope(project, scope, party)
    add_party(project, party, "")


def _check_name(project: Project, name: str, party: str) -> None:
    if not re.fullmatch(NAME, name) or keyword.iskeyword(name) or name in OF_YAML:
        raise PartyError(f"{name!r} cannot be a name: 2 to 20 lowercase letters, and no word of Python or YAML.")
    taken = [other for other in project.registry.parties if name in other.split("/")]
    if taken:
        raise PartyError(f"There is a party {taken[0]} already: choose another name.")
    # The party's volume and network get its name: no other service may have them.
    in_use = names_in_use(project.root)
    for one in (name, f"to-{name}"):
        if one in in_use:
            raise PartyError(f"There is a {in_use[one]} already: choose another name.")
    if (project.root / folder_of(party)).exists():
        raise PartyError(f"There is a folder {folder_of(party)} already: remove it, or choose another name.")


def _scope(registry: Registry, tool: str, scope: str, new_scope: str) -> str:
    """Return the scope that an agent gets at its tool server, as it was asked for.  Raises `PartyError`."""
    served = registry.scopes_at(f"tool/{tool}")
    if not served:
        tools = [party.removeprefix("tool/") for party in registry.parties if party.startswith("tool/")]
        raise PartyError(f"There is no tool server {tool!r}. TOOL is one of {', '.join(tools)}.")
    if new_scope:
        return _check_new_scope(registry, scope, new_scope)
    if scope and scope not in served:
        raise PartyError(
            f"tool/{tool} does not serve a scope {scope!r}.\nSCOPE is one of {', '.join(served)}; "
            "NEW_SCOPE=tool.count makes a new scope."
        )
    return scope or served[0]


def _check_new_scope(registry: Registry, scope: str, new_scope: str) -> str:
    if scope:
        raise PartyError("SCOPE names a scope that exists, NEW_SCOPE one to make. Give one of the two.")
    if not re.fullmatch(SCOPE, new_scope):
        raise PartyError(f"{new_scope!r} cannot be the scope of a tool: it has the form tool.count.")
    if new_scope in registry.scopes:
        servers = ", ".join(registry.scopes[new_scope].served_by)
        raise PartyError(f"There is a scope {new_scope} already, served by {servers}.")
    return new_scope


def add_scope(project: Project, scope: str, server: str) -> None:
    """Add a scope that one party serves.  Raises `PartyError`."""
    line = f"  {scope}: {{ served_by: [{server}] }}\n"
    project.edit(REGISTRY, r"^(scopes:\n(?:  [^\n]*\n)*)", rf"\1{line}", f"+ scope {scope}, served by {server}")
    project.edit(SCHEMA, r'(?<=")(\s*in \[Action::"use"\])', rf', "{scope}"\1', f'+ action "{scope}"')


def add_party(project: Project, party: str, rights: str) -> None:
    """Add a party, at the first free port.  `rights`: lines of its entry.  Raises `PartyError`."""
    taken = {other.port for other in project.registry.parties.values()}
    port = next(number for number in range(FIRST_PORT, LAST_PORT + 1) if number not in taken)
    code = f"    code: {folder_of(party)}\n"
    entry = f"  {party}:\n    id: spiffe\n    keycloak: confidential\n    port: {port}\n{rights}{code}\n"
    before = re.escape(project.registry.authorities.registry)
    project.edit(REGISTRY, rf"^(?=  {before}:$)", entry, f"+ party {party}, at port {port}")


def delegators(registry: Registry) -> list[str]:
    """Return who must delegate a scope before an agent gets it: the planner, and the clients that call it."""
    parties = registry.parties.items()
    return [PLANNER, *(name for name, party in parties if party.starts_chains and PLANNER in party.may_call)]
