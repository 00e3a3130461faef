"""Removes an agent or a tool server from the project, in memory: its entries, and the scopes that nobody else uses."""

import re
from collections.abc import Iterator

from registration.names import PLAN, PLANNER, POLICIES
from registration.parties.code import agent_code, folder_of, tool_code
from registration.parties.container import remove_container
from registration.parties.entries import on_the_way, remove_party, remove_scope
from registration.parties.project import PartyError, Project
from zerotrust.registry.files import policy_files
from zerotrust.registry.model import Registry

OTHER_CODE = "demo", "local"
"""Folders beside those of the parties whose code can name a party."""
COMPILED = "__pycache__", ".pyc"
"""Folder and suffix of what Python makes itself, which is no change of the code."""


def remove(project: Project, party: str, *, with_code: bool) -> None:
    """Remove a party.  Code that has changed since it was made stays, except `with_code`.

    Raises `PartyError`, also if other parties or other code need this one.
    """
    if party not in project.registry.parties:
        raise PartyError(f"There is no {party} in the registry.")
    _check_unused(project.registry, party)
    kept = not with_code and not _is_as_made(project, party)
    _take_rights(project, party)
    remove_party(project, party)
    if f'"{party}"' in project.text(PLAN):
        project.edit(PLAN, rf'^    "{party}": \([^)]*\),\n', "", f"- {party} in AGENTS")
    remove_container(project, party)
    if named := sorted(_naming(project, party)):
        raise PartyError("\n  ".join([f"{party} is needed by code that names it. Change that code first:", *named]))
    if kept:
        project.by_hand += [
            f"{folder_of(party)} stays, because its code was changed: delete it yourself.",
            "  (With CODE=delete the command would have.)",
        ]
    else:
        project.delete(folder_of(party))


def _take_rights(project: Project, party: str) -> None:
    """Remove what others may do for this party alone, and the scopes that nobody uses without it."""
    scopes = _unused_scopes(project, party)
    for name, scope in project.registry.scopes.items():
        if party in scope.served_by and name not in scopes:
            project.shorten(name, "served_by", party)
    for holder in on_the_way(project.registry):
        if party in project.registry.parties[holder].may_call:
            project.shorten(holder, "may_call", party)
        for name in scopes:
            if name in project.registry.parties[holder].delegates:
                project.shorten(holder, "delegates", name)
    for name, gone in scopes.items():
        if gone:
            remove_scope(project, name)


def _check_unused(registry: Registry, party: str) -> None:
    # Adding an agent lets these call it; who else may call it, has been told so by somebody.
    theirs = on_the_way(registry) if party.startswith("agent/") else []
    callers = [name for name, other in registry.parties.items() if party in other.may_call and name not in theirs]
    if callers:
        raise PartyError(f"{party} is needed: {', '.join(callers)} may call it. Remove what needs it first.")


def _is_as_made(project: Project, party: str) -> bool:
    """Return whether the folder has exactly what the command wrote that added this party."""
    kind, _, name = party.partition("/")
    if kind == "tool":
        made = tool_code(project, name)
    else:
        may_call, delegates = project.registry.parties[party].may_call, project.registry.parties[party].delegates
        if not may_call or not delegates:
            return False
        made = agent_code(project, name, may_call[0], delegates[0])
    folder = project.root / folder_of(party)
    there = [path for path in folder.rglob("*") if not path.is_dir() and (path.parent.name, path.suffix) != COMPILED]
    found = {str(path.relative_to(project.root)): path.read_bytes() for path in there}
    return found == {path: text.encode() for path, text in made.items()}


def _unused_scopes(project: Project, party: str) -> dict[str, bool]:
    """Return the scopes that nobody uses without this party, each with whether the scope itself goes.

    It stays where the code of a server or a policy names it.  Raises `PartyError` if another party may delegate a scope
    that this one alone serves.
    """
    theirs, found = on_the_way(project.registry), {}
    for name, scope in project.registry.scopes.items():
        holders = [other for other, entry in project.registry.parties.items() if name in entry.delegates]
        others = [other for other in holders if other != party and other not in theirs]
        if scope.served_by == [party]:
            if others:
                raise PartyError(f"{party} is needed: {', '.join(others)} may delegate {name}. Take that away first.")
            found[name] = True
        elif party in holders and not others and not {*scope.served_by} & {*project.registry.parties[PLANNER].may_call}:
            named = [path for server in scope.served_by for path in _files(project, folder_of(server))]
            found[name] = not any(f'"{name}"' in project.text(path) for path in [*named, *_policies(project)])
    return found


def _naming(project: Project, party: str) -> Iterator[str]:
    """Yield the files of other code that name the party."""
    own = folder_of(party)
    folders = {folder for other in project.registry.launched for folder in project.registry.parties[other].code} - {own}
    code = (path for folder in {*folders, *OTHER_CODE} for path in _files(project, folder))
    for path in (*code, *_policies(project)):
        if re.search(rf'["/]{party}"', project.text(path)):
            yield path


def _policies(project: Project) -> list[str]:
    return [f"{POLICIES}/{file.name}" for file in policy_files(project.root / POLICIES)]


def _files(project: Project, folder: str) -> Iterator[str]:
    for path in (project.root / folder).rglob("*.py"):
        yield str(path.relative_to(project.root))
