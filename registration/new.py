"""Adds an agent or a tool server to the project: `make new-agent NAME=auditor`, `make new-tool NAME=ledger`.

It writes the party's folder from code that runs here, and edits every file that has to name the party, keeping their
comments.  It approves nothing: that is `make register`, after a look at what was written.
"""

import keyword
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from local.alone import process_running
from registration.fit import COMPOSE, PLACES, PLAN, PLANNER, SCHEMA
from zerotrust.errors import ZeroTrustError
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import Registry, load_registry, validated

ROOT = Path(__file__).parents[1]
AGENT_TEMPLATE, TOOL_TEMPLATE = "agents/writer/main.py", "registration/tool_template.py"
LOCAL, CONTAINERS = PLACES
NAME = r"[a-z]{2,20}"
USAGE = """\
usage: make new-agent NAME=auditor [TOOL=documents] [SCOPE=tool.read]
       make new-tool NAME=ledger"""


class NewError(ZeroTrustError):
    """The party cannot be added.  The text says why, and nothing was written."""


@dataclass
class Project:
    """The files to write, in memory, and what was done to each."""

    root: Path
    texts: dict[str, str] = field(default_factory=dict)
    done: list[tuple[str, str]] = field(default_factory=list)

    def text(self, name: str) -> str:
        """Return a file's text, as changed so far."""
        return self.texts.get(name) or (self.root / name).read_text()

    def create(self, name: str, text: str) -> None:
        """Add a file."""
        self.texts[name] = text

    def edit(self, name: str, pattern: str, new: str, what: str) -> None:
        """Replace the one match of `pattern`; `what` says what for.  Raises `NewError`."""
        text, found = re.subn(pattern, new, self.text(name), count=1, flags=re.MULTILINE)
        if not found:
            raise NewError(
                f"{name}: not in the form that can be edited: add {what} by hand, like that of another party."
            )
        self.texts[name] = text
        self.done.append((name, what))

    def extend(self, name: str, block: str, key: str, entry: str) -> None:
        """Add an entry to the list `key: [...]` in the block that begins with `block:`.  Raises `NewError`."""
        head = rf"^(  {re.escape(block)}:(?:[^\n]*\n(?=    ))*?[^\n]*\b{key}: \[[^\]\n]*)\]"
        self.edit(name, head, rf"\1, {entry}]", f"{entry} to {key} of {block}")

    def write(self) -> None:
        """Write all files."""
        for name, text in self.texts.items():
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(text)


def new_agent(root: Path, name: str, tool: str = "documents", scope: str = "") -> Project:
    """Return the project with an agent `agent/NAME`, which calls `tool/TOOL` with one scope.  Raises `NewError`."""
    registry, project = load_registry(root / REGISTRY), Project(root)
    party, server = f"agent/{name}", f"tool/{tool}"
    _check(root, registry, name, party)
    served = registry.scopes_at(server)
    if not served:
        tools = ", ".join(other[5:] for other in registry.parties if other.startswith("tool/"))
        raise NewError(f"{server} is no tool server.  TOOL is one of {tools}; `make new-tool NAME={tool}` makes one.")
    scope = scope or served[0]
    if not re.fullmatch(r"tool\.[a-z]+", scope):
        raise NewError(f"{scope!r} cannot be the scope of a tool: it has the form tool.read.")
    if scope in registry.scopes and scope not in served:
        raise NewError(f"{server} does not serve {scope}.  SCOPE is one of {', '.join(served)}, or a new one.")
    _write_agent(project, name, server, scope)
    if scope not in registry.scopes:
        _new_scope(project, scope, server)
    project.extend(REGISTRY, "agent.invoke", "served_by", party)
    project.extend(REGISTRY, PLANNER, "may_call", party)
    logins = [other for other, entry in registry.parties.items() if entry.starts_chains and PLANNER in entry.may_call]
    for holder in PLANNER, *logins:
        if scope not in registry.parties[holder].delegates:
            project.extend(REGISTRY, holder, "delegates", scope)
    _new_party(
        project,
        registry,
        party,
        f"    may_call: [{server}, inference]\n    delegates: [{scope}, inference.run, llama.chat]\n    max_ttl: 60\n",
    )
    entry = f'    "{party}": ("agent.invoke", "{scope}", "inference.run", "llama.chat"),\n'
    project.edit(PLAN, r"^(AGENTS: [^{]*\{\n(?:    [^\n]*\n)*)\}", rf"\1{entry}}}", f"{party} to AGENTS")
    _new_container(project, registry, party, callers=[PLANNER], callees=[server, "inference"])
    return _checked(project)


def new_tool(root: Path, name: str) -> Project:
    """Return the project with a tool server `tool/NAME`, which serves the scope `tool.NAME`.  Raises `NewError`."""
    registry, project = load_registry(root / REGISTRY), Project(root)
    party, scope = f"tool/{name}", f"tool.{name}"
    _check(root, registry, name, party)
    if scope in registry.scopes:
        raise NewError(f"There is a scope {scope} already, served by {', '.join(registry.scopes[scope].served_by)}.")
    template = (root / TOOL_TEMPLATE).read_text()
    code = re.sub(r"\bexample\b", name, template.replace("Example:", f"{name.capitalize()}:"))
    project.create(f"tools/{name}/__init__.py", f'"""The {name} tool server."""\n')
    project.create(f"tools/{name}/main.py", code)
    _new_scope(project, scope, party)
    _new_party(project, registry, party, "")
    _new_container(project, registry, party, callers=[], callees=[])
    return _checked(project)


def _check(root: Path, registry: Registry, name: str, party: str) -> None:
    if not re.fullmatch(NAME, name) or keyword.iskeyword(name):
        raise NewError(f"{name!r} cannot be a name: 2 to 20 small letters, and no word of Python.")
    taken = [other for other in registry.parties if name in other.split("/")]
    if party in registry.parties or taken:
        raise NewError(f"There is a party {taken[0]} already: choose another name.")
    if name in yaml.safe_load((root / COMPOSE).read_text())["services"]:
        raise NewError(f"There is a service {name} in {COMPOSE} already: choose another name.")
    folder = f"{party.partition('/')[0]}s/{name}"
    if (root / folder).exists():
        raise NewError(f"There is a folder {folder} already: remove it, or choose another name.")


def _write_agent(project: Project, name: str, server: str, scope: str) -> None:
    """Write the agent's folder: the writer, with other names."""
    code, title = project.text(AGENT_TEMPLATE), name.capitalize()
    for old, new in (
        (r"Writer: [^\n]*", f"{title}: the agent that calls {server} with {scope}, and may do nothing else."),
        (r"The writer, guarded\.", f"The {name}, guarded."),
        ('"agent/writer"', f'"agent/{name}"'),
        ('"tool/documents"', f'"{server}"'),
        (r'"tool\.write"', f'"{scope}"'),
        (r"the right to write only", f"{scope} only"),
        (r"(?<!/)\bdocuments\b", "tool"),
    ):
        code, found = re.subn(old, new, code)
        if not found:
            raise NewError(f"{AGENT_TEMPLATE}, from which agents are made, has no {old}: write agents/{name} by hand.")
    project.create(f"agents/{name}/__init__.py", f'"""The {name} agent."""\n')
    project.create(f"agents/{name}/main.py", code)


def _new_scope(project: Project, scope: str, server: str) -> None:
    line = f"  {scope}: {{ served_by: [{server}] }}\n"
    project.edit(REGISTRY, r"^(scopes:\n(?:  [^\n]*\n)*)", rf"\1{line}", f"scope {scope}, served by {server}")
    project.edit(SCHEMA, r'(?<=")(\s*in \[Action::"use"\])', rf', "{scope}"\1', f'the action "{scope}"')


def _new_party(project: Project, registry: Registry, party: str, rights: str) -> None:
    folder = party.replace("/", "s/", 1)
    entry = f"  {party}:\n    id: spiffe\n    keycloak: confidential\n{rights}    code: [{folder}, zerotrust]\n\n"
    before = re.escape(registry.authorities.registry)
    project.edit(REGISTRY, rf"^(?=  {before}:$)", entry, f"party {party}")
    ports = [place["port"] for place in yaml.safe_load(project.text(LOCAL))["parties"].values()]
    port = next(number for number in range(8101, 8200) if number not in ports)
    for file, host, number in (LOCAL, "127.0.0.1", port), (CONTAINERS, registry.dns_name(party), 443):
        line = f"  {party}: {{ host: {host}, port: {number} }}\n"
        project.edit(file, rf"^(?=  {before}:)", line, f"{party} at port {number}")


def _new_container(project: Project, registry: Registry, party: str, *, callers: list[str], callees: list[str]) -> None:
    kind, _, name = party.partition("/")
    services = yaml.safe_load(project.text(COMPOSE))["services"]
    by_code = {entry.get("build", {}).get("args", {}).get("CODE"): service for service, entry in services.items()}
    service_of = {other: by_code[entry.code[0]] for other, entry in registry.parties.items() if entry.code}
    host = registry.dns_name(party)
    network = f"to-{name}"
    inside = "".join(f"      to-{service_of[callee]}: {{}}\n" for callee in callees)
    service = (
        f"  {name}:\n    <<: *party\n"
        f"    build: {{ context: ., target: party, args: {{ CODE: {kind}s/{name} }} }}\n"
        f"    image: zero-trust-agents/{name}\n"
        f"    environment: {{ <<: *party-settings, ZT_HOST: {host} }}\n"
        f'    volumes: ["identity:/run/identity:ro", "{name}:/data"]\n'
        f"    networks:\n      authorities: {{}}\n      {network}: {{ aliases: [{host}] }}\n{inside}"
        "    healthcheck: *own-address\n\n"
    )
    project.edit(COMPOSE, r"^(?=(?:  #[^\n]*\n)*  walkthrough:$)", service, f"the service {name}")
    for caller in callers:
        block = rf"^(  {service_of[caller]}:\n(?:    [^\n]*\n)*?      authorities: \{{\}}\n)"
        project.edit(COMPOSE, block, rf"\1      {network}: {{}}\n", f"{service_of[caller]} to the network {network}")
    project.edit(COMPOSE, r"^(networks:\n)", rf"\1  {network}: {{ internal: true }}\n", f"the network {network}")
    project.edit(COMPOSE, r"^(volumes:\n)", rf"\1  {name}: {{}}\n", f"the volume {name}")
    journal = rf"\1      - {name}:/journals/{kind}-{name}:ro\n"
    project.edit(COMPOSE, r"^(      - identity:/run/identity:ro\n)", journal, "its journal to the walkthrough")


def _checked(project: Project) -> Project:
    """Return the project, if what was edited can be read.  Raises `RegistryError`."""
    validated(Registry, project.text(REGISTRY).encode(), project.root / REGISTRY)
    yaml.safe_load(project.text(COMPOSE))
    return project


def told(project: Project, party: str) -> str:
    """Return what was done, and what remains."""
    kind, _, name = party.partition("/")
    folder = f"{kind}s/{name}"
    lines = [f"  {folder}/main.py: a copy of {AGENT_TEMPLATE if kind == 'agent' else TOOL_TEMPLATE}"]
    lines += [f"  {file}: {what}" for file, what in project.done]
    if kind == "agent":
        by_hand = [
            f"  {folder}/main.py: what it is for.  As it is, it lets the model call its one tool server.",
            f'  {PLAN}: when it takes part.  As it is, a task that begins with "{name.capitalize()}:" is its alone.',
        ]
    else:
        by_hand = [
            f"  {folder}/main.py: what its tool does.  As it is, it counts words.",
            f"  who may call it: `make new-agent NAME=... TOOL={name}`, or `may_call` of another party in {REGISTRY}.",
        ]
    page = "docs/add-an-agent.md" if kind == "agent" else "docs/add-a-tool.md"
    return "\n".join(
        ["Written:", *lines, "By hand:", *by_hand, f"Then: make register, make up.  {page} has the whole way."]
    )


def main(arguments: list[str]) -> int:
    """Run the command line: `agent NAME [TOOL [SCOPE]]` or `tool NAME`.  Return the exit status."""
    kind, *given = arguments or [""]
    given = given if kind == "agent" else [one for one in given if one]
    if kind not in {"agent", "tool"} or not given or not given[0] or (kind == "tool" and len(given) > 1):
        print(USAGE, file=sys.stderr)
        return 2
    if process := process_running(ROOT / "run"):  # its parties would drift, and the registry among them
        print(f"It runs, as process {process}: `make down` first, then repeat.", file=sys.stderr)
        return 1
    name, tool, scope, *_ = [*given, "", "", ""]
    try:
        project = new_agent(ROOT, name, tool or "documents", scope) if kind == "agent" else new_tool(ROOT, name)
    except (ZeroTrustError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    project.write()
    print(told(project, f"{kind}/{name}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
