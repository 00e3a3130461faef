"""What has to fit together before it is approved: registry, policies, code, plan, and the places where parties run.

Each problem is one line that names the file, the entry and what to do.
"""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from authorities.attestation.verifier.measure import MeasureError
from zerotrust.adapters.mcp_tools import McpTools
from zerotrust.decision import PolicyEngine, Reason, ReasonCode
from zerotrust.identity import Principal
from zerotrust.policy import PolicyError
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.files import load_policy
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import OPERATORS, Registry, RegistryError
from zerotrust.routes import Requirement, Scope
from zerotrust.runtime import policy_of

PLACES = "deploy/local.yaml", "deploy/containers.yaml"
COMPOSE = "docker-compose.yml"
SCHEMA = "authorities/policy/schema.cedarschema"
PLANNER, PLAN = "orchestrator", "orchestrator/plan.py"

_CALLERS = {"exchange": 0, "ToolClient": 1, "ModelClient": 1, "ask_agent": 1}
"""What calls another party, and the position of the argument that names it."""


def problems(root: Path, registry: Registry) -> list[str]:
    """Return a line for each mistake.  Raises `MeasureError` if a party's code cannot be read."""
    found = [*unreachable(registry), *of_policies(root, registry), *of_code(root, registry)]
    if PLANNER in registry.parties:
        found += of_plan(import_module("orchestrator.plan").AGENTS, registry)
    return [*found, *of_places(root, registry), *of_compose(root, registry)]


def unreachable(registry: Registry) -> list[str]:
    """Return the scopes that a party may delegate, but that no user's token can bring there.  Pure."""
    found = []
    for scope in registry.scopes:
        having = _having(scope, registry)
        for name, party in registry.parties.items():
            if scope not in party.delegates or name in having:
                continue
            callers = [other for other, entry in registry.parties.items() if name in entry.may_call]
            lacking = [other for other in callers if scope not in registry.parties[other].delegates]
            if lacking:
                found.append(
                    f"{REGISTRY}: parties.{name}.delegates: no token with {scope!r} gets there: "
                    f"add it to `delegates` of {' or '.join(lacking)}"
                )
            elif not callers:
                found.append(f"{REGISTRY}: parties.{name}: nobody may call it: add it to `may_call` of its callers")
        servers = registry.scopes[scope].served_by
        if not any(set(registry.parties[name].may_call) & set(servers) for name in having):
            found.append(
                f"{REGISTRY}: scopes.{scope}: nobody can use it: a caller of {' or '.join(servers)} "
                "needs it in `delegates`, and so does each party from the sign-in to that caller"
            )
    return found


def _having(scope: str, registry: Registry) -> set[str]:
    """Return the parties that can hold a user's token with this scope, and may pass it on."""
    parties = registry.parties
    able = {name for name, party in parties.items() if scope in party.delegates}
    having, before = {name for name in able if parties[name].starts_chains}, set[str]()
    while having != before:
        before = set(having)
        having |= able.intersection(*[{callee for name in having for callee in parties[name].may_call}])
    return having


def of_policies(root: Path, registry: Registry) -> list[str]:
    """Return the scopes that the policies do not know, or permit to nobody."""
    try:
        engine = policy_of(load_policy(root / "authorities" / "policy"), registry)
    except (RegistryError, PolicyError) as error:
        return [f"authorities/policy: {line}" for line in str(error).replace(f"{root}/", "").splitlines()]
    found = []
    for scope in registry.scopes:
        reasons = set(_decisions(scope, registry, engine))
        if Reason.POLICY_ERROR in reasons:
            found.append(
                f'{SCHEMA}: no action "{scope}": add it to those `in [Action::"use"]`, so that a policy can permit it'
            )
        elif reasons and Reason.GRANTED not in reasons:
            found.append(
                f"authorities/policy/policies.cedar: no policy permits {scope!r} to anybody: {SCHEMA} has to "
                'have it `in [Action::"use"]`, or it needs a policy of its own'
            )
    return found


def _decisions(scope: str, registry: Registry, engine: PolicyEngine) -> Iterator[ReasonCode]:
    """Yield the decision for each call that the registry allows with this scope, in person and by delegation."""
    for name, party in registry.parties.items():
        # At an outside server, these policies do not decide.
        for callee in {*party.may_call} & {*registry.scopes[scope].served_by} & registry.parties.keys():
            if scope not in party.delegates:
                continue
            for actors in ((), (registry.id(name),)):
                principal = Principal(
                    subject="anybody",
                    party=registry.id(name),
                    actors=actors,
                    audience=registry.id(callee),
                    scopes=frozenset({scope}),
                    groups=frozenset({registry.departments[0], OPERATORS}),
                    token_id="",
                    lineage=(),
                    client="",
                    chain_started_at=0,
                    session="",
                    issued_at=0,
                    expires_at=0,
                    token="",
                )
                yield engine.decide(principal, scope, registry.id(callee)).reason


def of_code(root: Path, registry: Registry) -> list[str]:
    """Return the calls, and the scopes of routes, in parties' code that the registry does not allow.

    A party or scope that the code computes is refused when it is called.  Raises `MeasureError`.
    """
    found = []
    for name in registry.launched:
        folder = registry.parties[name].code[0]
        for file in sorted((root / folder).rglob("*.py")):
            path = str(file.relative_to(root))
            try:
                tree = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError) as error:
                raise MeasureError(f"{path}: {error}") from error
            for line, callee, scopes in _calls(tree):
                found += [f"{path}:{line}: {problem}" for problem in _call_problems(registry, name, callee, scopes)]
        found += _route_problems(folder, registry, name)
    return found


def _calls(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, callee and scopes of each call to another party, as far as they are literals or names of such."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def text(argument: ast.expr) -> str | None:
        value = argument.value if isinstance(argument, ast.Constant) else None
        value = constants.get(argument.id) if isinstance(argument, ast.Name) else value
        return value if isinstance(value, str) else None

    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            position = _CALLERS.get(called, len(node.args))
            if position < len(node.args) and (callee := text(node.args[position])):
                scopes = [scope for argument in node.args[1:] if (scope := text(argument))]
                yield node.lineno, callee, scopes if called == "exchange" else []


def _call_problems(registry: Registry, name: str, callee: str, scopes: list[str]) -> Iterator[str]:
    party = registry.parties[name]
    if callee not in registry.parties | registry.outside:
        yield f"it calls {callee!r}, which is not registered: add it under `parties` in {REGISTRY}"
        return
    if callee not in party.may_call:
        yield f"it calls {callee!r}, and may not: add that to parties.{name}.may_call in {REGISTRY}"
    for scope in scopes:
        if scope not in registry.scopes:
            yield f"it asks for {scope!r}, which is no scope: add it under `scopes` in {REGISTRY}"
        elif scope not in party.delegates:
            yield f"it asks for {scope!r}, and may not: add that to parties.{name}.delegates in {REGISTRY}"


def _route_problems(folder: str, registry: Registry, name: str) -> Iterator[str]:
    path = f"{folder}/main.py"
    try:
        routes: Mapping[Any, Requirement] = getattr(import_module(path[:-3].replace("/", ".")), "ROUTES", {})
    except Exception as error:  # noqa: BLE001 - whatever a module that is being written raises
        yield f"{path}: cannot be imported ({type(error).__name__}: {error})"
        return
    needed: set[str] = set()
    for requirement in routes.values():
        if isinstance(requirement, Scope):
            needed.add(requirement.name)
        elif isinstance(requirement, McpTools):
            needed |= set(requirement.permissions)
    served = set(registry.scopes_at(name))
    for scope in sorted(needed - served):
        yield f"{path}: a route needs {scope!r}: add {name} to `served_by` of that scope in {REGISTRY}"
    for scope in sorted(served - needed if routes else ()):
        yield f"{REGISTRY}: scopes.{scope}.served_by: {name} has no route or tool that needs it: add one in {folder}"


def of_plan(agents: Mapping[str, tuple[str, ...]], registry: Registry) -> list[str]:
    """Return the steps that the orchestrator's plan has, and that the registry does not allow.  Pure."""
    found, planner = [], registry.parties[PLANNER]
    for agent, scopes in agents.items():
        if agent not in registry.parties:
            found.append(f"{PLAN}: AGENTS has {agent!r}, which is not registered: add it under `parties` in {REGISTRY}")
            continue
        if agent not in planner.may_call:
            found.append(f"{PLAN}: AGENTS has {agent!r}: add that to parties.{PLANNER}.may_call in {REGISTRY}")
        for scope in scopes:
            if scope not in registry.scopes:
                found.append(f"{PLAN}: AGENTS: {agent!r} gets {scope!r}: add that under `scopes` in {REGISTRY}")
            elif scope not in planner.delegates:
                found.append(
                    f"{PLAN}: AGENTS: {agent!r} gets {scope!r}: add that to parties.{PLANNER}.delegates in {REGISTRY}"
                )
            elif scope not in registry.parties[agent].delegates and scope not in registry.scopes_at(agent):
                found.append(
                    f"{PLAN}: AGENTS: {agent!r} gets {scope!r}, and can neither serve nor delegate it: "
                    f"remove it there, or add it to parties.{agent}.delegates in {REGISTRY}"
                )
    return found


def of_places(root: Path, registry: Registry) -> list[str]:
    """Return what is missing or wrong in the files that say where parties run."""
    found = []
    for name in PLACES:
        try:
            load_deployment(root / name, registry)
        except RegistryError as error:
            found += str(error).replace(f"{root}/", "").splitlines()
    return found


def of_compose(root: Path, registry: Registry) -> list[str]:
    """Return the parties without a container, and the networks that do not say what the registry says."""
    try:
        services = yaml.safe_load((root / COMPOSE).read_text())["services"]
    except (OSError, yaml.YAMLError, LookupError, TypeError) as error:
        return [f"{COMPOSE}: cannot be read ({error})"]
    running = {
        name: service
        for name in registry.launched
        for service, entry in services.items()
        if entry.get("build", {}).get("args", {}).get("CODE") == registry.parties[name].code[0]
    }
    found = [
        f"{COMPOSE}: {name} has no container: add a service with `CODE: {registry.parties[name].code[0]}`"
        for name in registry.launched
        if name not in running
    ]
    for name in running.keys() - {registry.authorities.registry}:
        alias = registry.dns_name(name)
        networks = services[running[name]]["networks"]
        here = [one for one, how in networks.items() if alias in (how or {}).get("aliases", [])]
        if not here:
            found.append(f"{COMPOSE}: services.{running[name]}.networks: none has the alias {alias}")
            continue
        for other in sorted(running.keys() - {name, registry.authorities.registry}):
            inside = here[0] in services[running[other]]["networks"]
            allowed = name in registry.parties[other].may_call
            if inside != allowed:
                what = "missing, and" if allowed else "too much:"
                may = "may" if allowed else "may not"
                found.append(
                    f"{COMPOSE}: services.{running[other]}.networks: {here[0]} is {what} {other} {may} call {name}"
                )
    return sorted(found)
