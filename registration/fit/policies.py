"""Whether the policies may be published, know each scope, and permit its use to some party."""

from collections.abc import Iterator
from pathlib import Path

from authorities.policy.callers import caller, calls
from authorities.policy.fit import problems
from authorities.policy.versions import content_of
from registration.names import POLICIES, SCHEMA
from zerotrust.authority.files.reading import RegistryError
from zerotrust.decision import Reason, ReasonCode
from zerotrust.policy import CedarPolicy, PolicyError
from zerotrust.registry.model import OPERATORS, Registry
from zerotrust.runtime import policy_of


def policy_problems(root: Path, registry: Registry) -> list[str]:
    """Return why the policies may not be published, and the scopes that they do not know, or permit to no party."""
    try:
        policies = content_of(root / POLICIES)
        found = [f"{POLICIES}: {problem}" for problem in problems(policies, registry)]
        engine = policy_of(policies.document, registry)
    except RegistryError as error:
        return [f"{POLICIES}: {line}" for line in str(error).replace(f"{root}/", "").splitlines()]
    except PolicyError:
        return found
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


def _decisions(scope: str, registry: Registry, engine: CedarPolicy) -> Iterator[ReasonCode]:
    """Yield the decision for each call that the registry allows with this scope, in person and by delegation."""
    groups = {registry.departments[0], OPERATORS}
    for name, asked, callee in calls(registry):
        for actors in ((), (registry.id(name),)):
            if asked == scope:
                who = caller(registry.id(name), actors=actors, scopes={scope}, groups=groups)
                yield engine.decide(who, scope, registry.id(callee)).reason
