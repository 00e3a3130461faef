"""The registry: a mistake in it is refused with file, key and reason, and nobody starts on half of one."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from local.system import EVERYTHING
from tests.support.system import ROOT
from zerotrust.registry.model import Registry, load_registry
from zerotrust.registry.reading import MAX_FILE, RegistryError
from zerotrust.testing.browser import REDIRECT
from zt.browser import PATH
from zt.doors import REGISTRY

COMMITTED: dict[str, Any] = yaml.safe_load((ROOT / "registry.yaml").read_text())


def refused(folder: Path, text: str) -> str:
    """Why a registry of that text is refused; the file is always named."""
    file = folder / "registry.yaml"
    file.write_text(text)
    with pytest.raises(RegistryError) as error:
        load_registry(file)
    assert all(line.startswith(str(file)) for line in str(error.value).splitlines() if "parties" in line)
    assert str(file) in str(error.value)
    return str(error.value)


def test_the_committed_registry_is_good(registry: Registry) -> None:
    assert registry.id("agent/reader") == "spiffe://agents.example/agent/reader"
    assert registry.id("walkthrough") == "walkthrough"
    assert registry.id("zt") == "zt"
    assert registry.initiating_clients == registry.without_certificate == {"walkthrough", "zt", "zt-policy"}
    assert registry.launched == [*registry.services, "authority/registry", "authority/policy", "authority/audit"]
    assert registry.dns_name("orchestrator") == "orchestrator.agents.example"
    assert registry.dns_name("agent/reader") == "reader.agent.agents.example"
    assert registry.scopes_at("tool/documents") == ["tool.read", "tool.write"]


def test_others_connect_to_whoever_takes_tokens_and_to_the_log(registry: Registry) -> None:
    silent = {name for name in registry.parties if not registry.answers(name)}

    assert silent == {"authority/attestation", *registry.without_certificate}


def test_which_party_is_the_registry_is_a_fact_and_no_part_of_its_name(registry: Registry) -> None:
    other = registry.authorities.model_copy(update={"registry": "inference"})
    changed = registry.model_copy(update={"authorities": other})

    assert {*changed.services} == {*registry.services, "authority/registry"} - {"inference"}


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one entry, named like `parties.orchestrator.calls` with `:` between the steps."""

    def apply(document: dict[str, Any]) -> None:
        *way, last = path.split(":")
        for step in way:
            document = document[step]
        document[last] = value

    return apply


def without(path: str) -> Callable[[dict[str, Any]], None]:
    """A change that leaves one entry out."""

    def apply(document: dict[str, Any]) -> None:
        *way, last = path.split(":")
        for step in way:
            document = document[step]
        del document[last]

    return apply


ORCHESTRATOR, READER = "parties:orchestrator:", "parties:agent/reader:"
MISTAKES = {
    "no authorities": (without("authorities"), "authorities: Field required"),
    "a registry that is no party": (
        change("authorities:registry", "authority/nobody"),
        "authorities.registry: 'authority/nobody' is not a resource server",
    ),
    "a registry that serves nothing": (
        change("authorities:registry", "authority/attestation"),
        "authorities.registry: 'authority/attestation' is not a resource server",
    ),
    "attestation by nobody": (
        change("authorities:attestation", "authority/nobody"),
        "authorities.attestation: 'authority/nobody' is not a party with a SPIFFE ID and without code",
    ),
    "attestation without a SPIFFE ID": (
        change("authorities:attestation", "zt"),
        "authorities.attestation: 'zt' is not a party with a SPIFFE ID and without code",
    ),
    "attestation by a party that can be launched": (
        change("authorities:attestation", "inference"),
        "authorities.attestation: 'inference' is not a party with a SPIFFE ID and without code",
    ),
    "an audit log by nobody": (
        change("authorities:audit", "authority/nobody"),
        "authorities.audit: 'authority/nobody' is not a party with code and without a client at Keycloak",
    ),
    "an audit log that nobody launches": (
        change("authorities:audit", "authority/attestation"),
        "authorities.audit: 'authority/attestation' is not a party with code and without a client at Keycloak",
    ),
    "an audit log that tokens are issued for": (
        change("authorities:audit", "inference"),
        "authorities.audit: 'inference' is not a party with code and without a client at Keycloak",
    ),
    "policies by nobody": (
        change("authorities:policy", "authority/nobody"),
        "authorities.policy: 'authority/nobody' is not a resource server other than the registry",
    ),
    "policies that the registry writes": (
        change("authorities:policy", "authority/registry"),
        "authorities.policy: 'authority/registry' is not a resource server other than the registry",
    ),
    "no audit log": (without("authorities:audit"), "authorities.audit: Field required"),
    "no department": (change("departments", []), "departments: "),
    "a department that is no top-level group": (change("departments", ["/engineering/interns"]), "departments"),
    "operators as a department": (
        change("departments", ["/engineering", "/operators"]),
        "departments: /operators is the group of operators, and cannot be a department",
    ),
    "an unknown scope is delegated": (
        change(ORCHESTRATOR + "delegates", ["agent.invoke", "tool.erase"]),
        "parties.orchestrator.delegates: unknown scope 'tool.erase'",
    ),
    "a call to nobody": (
        change(ORCHESTRATOR + "may_call", ["agent/readr"]),
        "parties.orchestrator.may_call: 'agent/readr' cannot be called by this party",
    ),
    "a call to itself": (
        change(ORCHESTRATOR + "may_call", ["orchestrator"]),
        "parties.orchestrator.may_call: 'orchestrator' cannot be called by this party",
    ),
    "a call to a public client": (
        change(ORCHESTRATOR + "may_call", ["walkthrough"]),
        "parties.orchestrator.may_call: 'walkthrough' cannot be called by this party",
    ),
    "a call that no scope could open": (
        change(READER + "delegates", ["tool.read"]),
        "parties.agent/reader.may_call: 'inference' serves none of the scopes that 'agent/reader' delegates",
    ),
    "a scope nobody serves": (
        change("scopes:tool.erase", {"served_by": []}),
        "scopes.tool.erase.served_by",
    ),
    "a scope served by nobody we know": (
        change("scopes:tool.erase", {"served_by": ["tool/nothing"]}),
        "scopes.tool.erase.served_by: 'tool/nothing' is not a resource server",
    ),
    "a scope served by a public client": (
        change("scopes:tool.erase", {"served_by": ["walkthrough"]}),
        "scopes.tool.erase.served_by: 'walkthrough' is not a resource server",
    ),
    "a max_ttl longer than the caller's": (
        change(READER + "max_ttl", 121),
        "parties.agent/reader.max_ttl: 121 s is longer than the 120 s of its caller 'orchestrator'",
    ),
    "calls without a max_ttl": (
        without(READER + "max_ttl"),
        "parties.agent/reader.max_ttl: required with may_call, and only with it",
    ),
    "calls of those who have a max_ttl, without one": (
        without(ORCHESTRATOR + "max_ttl"),
        "parties.orchestrator.max_ttl: required with may_call",
    ),
    "a max_ttl without calls": (
        change("parties:tool/documents:max_ttl", 60),
        "parties.tool/documents.max_ttl: required with may_call, and only with it",
    ),
    "a SPIFFE ID without code": (
        without(READER + "code"),
        "parties.agent/reader.code: required, because only measured code gets a SPIFFE ID",
    ),
    "code without a SPIFFE ID": (
        change("parties:zt:code", ["zt"]),
        "parties.zt.code: must be empty, because a party without a SPIFFE ID is not launched",
    ),
    "a secret without a SPIFFE ID": (
        change("parties:zt:keycloak", "confidential"),
        "parties.zt.keycloak: must be public, because a party without a SPIFFE ID has no JWT-SVID",
    ),
    "a name for nobody": (
        change("parties:friend", {"id": "client", "keycloak": "none"}),
        "parties.friend.keycloak: must be public, because a party without a SPIFFE ID has no JWT-SVID",
    ),
    "a public client with no way to a token": (
        without("parties:zt:starts_chains"),
        "parties.zt.starts_chains: required for a public client, which cannot exchange tokens",
    ),
    "calls of who is no client at Keycloak": (
        change(READER + "keycloak", "none"),
        "parties.agent/reader.keycloak: must not be none, because calls need tokens",
    ),
    "chains of who is no client at Keycloak": (
        change("parties:authority/attestation:starts_chains", value=True),
        "parties.authority/attestation.keycloak: must not be none, because calls need tokens",
    ),
    "chains that lead nowhere": (
        change("parties:tool/documents:starts_chains", value=True),
        "parties.tool/documents.may_call: one party with starts_chains",
    ),
    "chains that lead to two parties": (
        change("parties:walkthrough:may_call", ["orchestrator", "agent/reader"]),
        "parties.walkthrough.may_call: one party with starts_chains, because a token has one audience",
    ),
    "a call to who starts chains": (
        change(ORCHESTRATOR + "starts_chains", value=True),
        "parties.walkthrough.may_call: 'orchestrator' cannot be called by this party",
    ),
    "a use of high risk with a token that is not bound": (
        change("parties:walkthrough:may_call", ["tool/documents"]),
        "parties.walkthrough.may_call: 'tool/documents' serves tool.write, of high risk, which only a party with",
    ),
    "a call to who is no client at Keycloak": (
        change(ORCHESTRATOR + "may_call", ["authority/attestation"]),
        "parties.orchestrator.may_call: 'authority/attestation' cannot be called by this party",
    ),
    "no word on how a party is named": (without(READER + "id"), "parties.agent/reader.id"),
    "no word on what a party is at Keycloak": (without(READER + "keycloak"), "parties.agent/reader.keycloak"),
    "a scope that is no scope": (change("scopes:tool.*", {"served_by": ["tool/documents"]}), "scopes.tool.*"),
    "a trust domain that is none": (change("trust_domain", "agents.example/orchestrator"), "trust_domain"),
    "a realm that is a path": (change("realm", "agents/../master"), "realm"),
    "a certificate that ends before it is renewed": (change("freshness:x509_svid", 3), "freshness.x509_svid"),
    "news that may be of any age": (change("freshness:revocations", 0), "freshness.revocations"),
    "an identity that lives for no time": (change("freshness:svid", 0), "freshness.svid"),
    "a key nobody knows": (change(READER + "trusted", value=True), "parties.agent/reader.trusted"),
    "a wrong type": (change(READER + "max_ttl", "60"), "parties.agent/reader.max_ttl"),
    "a max_ttl of nothing": (
        change(READER + "max_ttl", 0),
        "parties.agent/reader.max_ttl: Input should be greater than",
    ),
    "a sign-in that ends nowhere": (
        without("parties:zt:redirect_uris"),
        "parties.zt.redirect_uris: required with starts_chains, and only with it",
    ),
    "a sign-in with who starts no chain": (
        change(READER + "redirect_uris", ["https://reader.example/callback"]),
        "parties.agent/reader.redirect_uris: required with starts_chains, and only with it",
    ),
    "a sign-in that ends anywhere": (
        change("parties:zt:redirect_uris", ["https://console.example/*"]),
        "parties.zt.redirect_uris.0",
    ),
    "a sign-in that ends at the end of a long address": (
        change("parties:zt:redirect_uris", [f"https://console.example/{'x' * 256}"]),
        "parties.zt.redirect_uris.0: String should have at most 256",
    ),
    "a sign-in that ends without TLS": (
        change("parties:zt:redirect_uris", ["http://console.example/callback"]),
        "parties.zt.redirect_uris.0",
    ),
    "codes for a party with a certificate": (
        change(READER + "device_grant", True),  # noqa: FBT003 - a value of the file
        "parties.agent/reader.device_grant: only for a program of a person",
    ),
    "where it runs": (change(READER + "port", 8102), "parties.agent/reader.port: Extra inputs are not permitted"),
    "a name of another kind": (change(READER + "id", "friend"), "parties.agent/reader.id"),
    "another kind of client": (change(READER + "keycloak", "secret"), "parties.agent/reader.keycloak"),
    "a folder outside": (change(READER + "code", ["../elsewhere"]), "parties.agent/reader.code"),
    "a name that is no name": (
        change("parties:Reader", {"id": "spiffe", "keycloak": "none"}),
        "parties.Reader",
    ),
    "an identity that lives too long": (change("freshness:svid", 61), "freshness.svid"),
    "a certificate that lives too long": (change("freshness:x509_svid", 121), "freshness.x509_svid"),
    "keys that are read anew all the time": (change("freshness:keys", 0), "freshness.keys"),
    "a department of a long name": (
        change("departments", ["/" + "x" * 64]),
        "departments.0: String should have at most",
    ),
    "keys that are believed too long": (change("freshness:keys", 301), "freshness.keys"),
    "news that is too old": (change("freshness:revocations", 4), "freshness.revocations"),
    "a token that lives too long": (
        change("parties:agent/reader:max_ttl", 301),
        "parties.agent/reader.max_ttl: Input should be less than",
    ),
    "no parties": (without("parties"), "parties"),
    "a server outside that anybody reaches": (
        change("outside:llama", {"spki_sha256": "0" * 64}),
        "outside.llama.reached_by: Field required",
    ),
    "a server outside that is reached by nobody we measure": (
        change("outside:llama", {"reached_by": "zt", "spki_sha256": "0" * 64}),
        "outside.llama.reached_by: 'zt' is not a party that runs measured code",
    ),
    "a server outside that takes tokens, for which nobody gets any": (
        change("outside:llama", {"reached_by": "inference", "takes_tokens": True}),
        "outside.llama.takes_tokens: 'inference', and no other party, has 'llama' in may_call",
    ),
    "a server outside with tokens of two parties": (
        change(READER + "may_call", ["tool/documents", "inference", "llamastack"]),
        "outside.llamastack.takes_tokens: 'inference', and no other party, has 'llamastack' in may_call",
    ),
    "tokens for a server outside that takes none": (
        without("outside:llamastack:takes_tokens"),
        "parties.inference.may_call: 'llamastack' cannot be called by this party",
    ),
    "a scope of a server outside that takes no tokens": (
        without("outside:llamastack:takes_tokens"),
        "scopes.llama.chat.served_by: 'llamastack' is not a resource server",
    ),
    "a server outside with half a pin": (
        change("outside:llama", {"reached_by": "inference", "spki_sha256": "0" * 63}),
        "outside.llama.spki_sha256",
    ),
    "a server outside by a party's name": (
        change("outside:inference", {"reached_by": "inference", "spki_sha256": "0" * 64}),
        "outside.inference: a party has that name",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_file_key_and_reason(tmp_path: Path, mistake: str) -> None:
    alter, reason = MISTAKES[mistake]
    document = copy.deepcopy(COMMITTED)
    alter(document)

    assert reason in refused(tmp_path, yaml.safe_dump(document, sort_keys=False))


def test_several_mistakes_are_all_named(tmp_path: Path) -> None:
    document = copy.deepcopy(COMMITTED)
    change(ORCHESTRATOR + "delegates", ["agent.invoke", "no.such"])(document)
    change(READER + "max_ttl", 121)(document)

    told = refused(tmp_path, yaml.safe_dump(document, sort_keys=False))

    assert "no.such" in told
    assert "121 s is longer" in told


def test_a_name_given_twice_is_refused_and_not_quietly_overwritten(tmp_path: Path) -> None:
    text = (ROOT / "registry.yaml").read_text().replace("  agent/writer:\n", "  agent/reader:\n")

    assert "duplicate name 'agent/reader'" in refused(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["", "[", "just words", "a: &a [*a]", "!!python/object/apply:os.getcwd []", "a: !!timestamp x", "[" * 900]
)
def test_what_is_no_registry_is_refused(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)


def test_a_registry_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"cannot be read \(No such file"):
        load_registry(tmp_path / "registry.yaml")


def test_a_registry_has_a_bound_and_is_a_file(tmp_path: Path) -> None:
    file, text = tmp_path / "registry.yaml", (ROOT / "registry.yaml").read_text()
    file.write_text(text.ljust(MAX_FILE))
    assert load_registry(file)

    file.write_text(text.ljust(MAX_FILE + 1))
    with pytest.raises(RegistryError, match=r"registry\.yaml: cannot be read \(more than 262,144 bytes\)"):
        load_registry(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(RegistryError, match=r"registry\.yaml: cannot be read \(not a regular file\)"):
        load_registry(file)


def test_a_registry_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "registry.yaml"
    file.write_bytes(b"trust_domain: \xff")

    with pytest.raises(RegistryError, match=r"registry\.yaml: .*utf-8"):
        load_registry(file)


def test_reading_a_registry_runs_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"

    refused(tmp_path, f"trust_domain: !!python/object/apply:os.mkdir [{made}]")

    assert not made.exists()


def test_nobody_changes_a_registry_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_registry(ROOT / "registry.yaml").realm = "master"  # type: ignore[misc]


def test_a_scope_that_writes_is_confirmed_on_every_use(registry: Registry) -> None:
    assert registry.high_risk == {"tool.write"}


def test_public_clients_have_no_certificate_however_many_there_are(tmp_path: Path) -> None:
    document = copy.deepcopy(COMMITTED)
    change("parties:console", document["parties"]["walkthrough"])(document)
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(document))

    assert load_registry(file).without_certificate == {"walkthrough", "zt", "zt-policy", "console"}


def test_what_our_own_programs_sign_in_with_is_what_the_registry_allows(registry: Registry) -> None:
    assert EVERYTHING.split() == registry.parties["walkthrough"].delegates
    assert registry.parties["walkthrough"].redirect_uris == [REDIRECT]
    assert registry.parties[REGISTRY.client].redirect_uris == [f"http://127.0.0.1{PATH}"]
