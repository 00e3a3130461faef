"""Whether each scope can reach the party that uses it, starting from a sign-in.  Pure."""

from collections.abc import Mapping

from registration.names import PLAN, PLANNER
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.registry.model import Registry


def plan_problems(agents: Mapping[str, tuple[str, ...]], registry: Registry) -> list[str]:
    """Return the steps that the orchestrator's plan has, and that the registry does not allow."""
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


def unreachable_scopes(registry: Registry) -> list[str]:
    """Return the scopes that a party may delegate, but that no user's token can bring there."""
    found = []
    for scope in registry.scopes:
        having = _holders(scope, registry)
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
                found.append(f"{REGISTRY}: parties.{name}: no party may call it: add it to `may_call` of its callers")
        servers = registry.scopes[scope].served_by
        if not any(set(registry.parties[name].may_call) & set(servers) for name in having):
            found.append(
                f"{REGISTRY}: scopes.{scope}: no party can use it: a caller of {' or '.join(servers)} "
                "needs it in `delegates`, and so does each party from the sign-in to that caller"
            )
    return found


def _holders(scope: str, registry: Registry) -> set[str]:
    """Return the parties that can hold a user's token with this scope, and may pass it on."""
    parties = registry.parties
    able = {name for name, party in parties.items() if scope in party.delegates}
    having, before = {name for name in able if parties[name].starts_chains or parties[name].operates}, set[str]()
    while having != before:
        before = set(having)
        having |= able.intersection(*[{callee for name in having for callee in parties[name].may_call}])
    return having
