"""Whether the policies know each scope, and permit it to somebody."""

from collections.abc import Iterator
from pathlib import Path

from registration.names import POLICIES, SCHEMA
from zerotrust.decision import PolicyEngine, Reason, ReasonCode
from zerotrust.identity import Principal
from zerotrust.policy import PolicyError
from zerotrust.registry.files import load_policy
from zerotrust.registry.model import OPERATORS, Registry, RegistryError
from zerotrust.runtime import policy_of


def of_policies(root: Path, registry: Registry) -> list[str]:
    """Return the scopes that the policies do not know, or permit to no party."""
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
                f"{POLICIES}: no policy permits {scope!r} to any party: {SCHEMA} has to "
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
