"""A web console: a workload with a certificate, by which users sign in, and so the first party of a chain."""

from zerotrust.registry.model import Registry

CONSOLE = "console"
REDIRECT = "https://console.example/callback"


def with_console(registry: Registry) -> Registry:
    """The registry, and a console that may call the orchestrator as the walkthrough does."""
    raw = registry.model_dump()
    like = {name: raw["parties"]["walkthrough"][name] for name in ("may_call", "delegates", "max_ttl", "starts_chains")}
    facts = {"id": "spiffe", "keycloak": "confidential", "redirect_uris": [REDIRECT], "code": ["console"]}
    return Registry.model_validate(raw | {"parties": raw["parties"] | {CONSOLE: like | facts}})
