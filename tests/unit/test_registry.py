"""The registry: a mistake in it is refused with file, key and reason, and nobody starts on half of one."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tests.support.system import ROOT
from zerotrust.authority.files.reading import MAX_FILE, RegistryError
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry
from zerotrust.service import expectations_of

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
    assert registry.without_certificate == {"walkthrough", "zt", "zt-policy"}
    assert registry.initiating_clients == registry.without_certificate | {"spiffe://agents.example/console"}
    assert registry.dns_names("console") == ["console.agents.example", "console.localhost"]
    assert registry.launched == [*registry.services, "authority/registry", "authority/policy", "authority/audit"]
    assert registry.dns_name("orchestrator") == "orchestrator.agents.example"
    assert registry.dns_name("agent/reader") == "reader.agent.agents.example"
    assert registry.scopes_at("tool/documents") == ["tool.read", "tool.write"]
    assert registry.high_risk == {"tool.write"}
    silent = {name for name in registry.parties if not registry.answers(name)}
    assert silent == {"authority/attestation", "automation/ci", "console", *registry.without_certificate}


GONE = object()
"""In place of a value: the entry is left out."""


def changed(path: str, value: Any) -> dict[str, Any]:
    """The committed registry with another value at `path`, whose steps have `:` between them."""
    document = copy.deepcopy(COMMITTED)
    *way, last = path.split(":")
    place = document
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return document


ORCHESTRATOR, READER, ATTESTATION = "parties:orchestrator:", "parties:agent/reader:", "parties:authority/attestation:"
AUTOMATION = "parties:automation/ci:"
DOCUMENTS, WALKTHROUGH, ZT = "parties:tool/documents:", "parties:walkthrough:", "parties:zt:"
UNLAUNCHED = "{} is not a party with a SPIFFE ID and without code"
UNLISTENING = "{} is not a party with code and without a client at Keycloak"
NO_JWT = "must be public, because a party without a SPIFFE ID has no JWT-SVID"
NO_TOKENS = "must not be none, because calls need tokens"
FOR_CALLS = "required with may_call, and only with it"
FOR_CHAINS = "required with starts_chains, and only with it"
UNSERVED = "{} is not a resource server"
ONE = "one party with starts_chains, because a token has one audience"
UNCALLED = "{} cannot be called by this party"
CONSOLE = "https://console.example/"
TOKENS = "outside:llamastack:takes_tokens"
PIN, INFERENCE = {"spki_sha256": "0" * 64}, {"reached_by": "inference"}

# What is changed, its new value, and why that is refused at this very key; `{}` is the value, or the one in the list.
HERE: dict[str, tuple[str, Any, str]] = {
    "no authorities": ("authorities", GONE, "Field required"),
    "a registry that is no party": ("authorities:registry", "authority/nobody", UNSERVED),
    "a registry that serves nothing": ("authorities:registry", "authority/attestation", UNSERVED),
    "attestation by nobody": ("authorities:attestation", "authority/nobody", UNLAUNCHED),
    "attestation without a SPIFFE ID": ("authorities:attestation", "zt", UNLAUNCHED),
    "attestation by a party that can be launched": ("authorities:attestation", "inference", UNLAUNCHED),
    "an audit log by nobody": ("authorities:audit", "authority/nobody", UNLISTENING),
    "an audit log that nobody launches": ("authorities:audit", "authority/attestation", UNLISTENING),
    "an audit log that tokens are issued for": ("authorities:audit", "inference", UNLISTENING),
    "policies by nobody": ("authorities:policy", "authority/nobody", UNSERVED),
    "no audit log": ("authorities:audit", GONE, "Field required"),
    "no department": ("departments", [], ""),
    "operators as a department": ("departments", ["/operators"], "/operators is the group of operators, and cannot be"),
    "an unknown scope is delegated": (ORCHESTRATOR + "delegates", ["tool.erase"], "unknown scope 'tool.erase'"),
    "a scope served by nobody we know": ("scopes:tool.read:served_by", ["tool/nothing"], UNSERVED),
    "a scope served by a public client": ("scopes:tool.read:served_by", ["walkthrough"], UNSERVED),
    "a call to nobody": (ORCHESTRATOR + "may_call", ["agent/readr"], UNCALLED),
    "a call to itself": (ORCHESTRATOR + "may_call", ["orchestrator"], UNCALLED),
    "a call to a public client": (ORCHESTRATOR + "may_call", ["walkthrough"], UNCALLED),
    "a call to who is no client at Keycloak": (ORCHESTRATOR + "may_call", ["authority/attestation"], UNCALLED),
    "chains that lead to two parties": (WALKTHROUGH + "may_call", ["orchestrator", "agent/reader"], ONE),
    "high risk with an unbound token": (
        WALKTHROUGH + "may_call",
        ["tool/documents"],
        "{} serves tool.write, of high risk",
    ),
    "a max_ttl longer than the caller's": (READER + "max_ttl", 121, "{} s is longer than the 120 s of its caller"),
    "calls without a max_ttl": (READER + "max_ttl", GONE, FOR_CALLS),
    "calls of those who have a max_ttl, without one": (ORCHESTRATOR + "max_ttl", GONE, "required with may_call"),
    "a max_ttl without calls": (DOCUMENTS + "max_ttl", 60, FOR_CALLS),
    "a max_ttl of nothing": (READER + "max_ttl", 0, "Input should be greater than"),
    "a token that lives too long": (READER + "max_ttl", 301, "Input should be less than"),
    "a SPIFFE ID without code": (READER + "code", GONE, "required, because only measured code gets a SPIFFE ID"),
    "code without a SPIFFE ID": (ZT + "code", "zt", "must be empty, because a party without a SPIFFE ID is not"),
    "a secret without a SPIFFE ID": (ZT + "keycloak", "confidential", NO_JWT),
    "a public client with no way to a token": (ZT + "starts_chains", GONE, "required for a public client, which"),
    "calls of who is no client at Keycloak": (READER + "keycloak", "none", NO_TOKENS),
    "a sign-in that ends nowhere": (ZT + "redirect_uris", GONE, FOR_CHAINS),
    "a sign-in with who starts no chain": (READER + "redirect_uris", [CONSOLE], FOR_CHAINS),
    "codes for a party with a certificate": (READER + "device_grant", True, "only for a program of a person"),
}

# The same, where the key that is named is another one, or a part of this one.
ELSEWHERE: dict[str, tuple[str, Any, str]] = {
    "policies that the registry writes": ("authorities:policy", "authority/registry", "authorities: policy: 'author"),
    "a department that is no top-level group": ("departments", ["/engineering/interns"], "departments"),
    "a department of a long name": ("departments", ["/" + "x" * 64], "departments.0: String should have at most"),
    "a call that no scope could open": (READER + "delegates", ["tool.read"], "may_call: 'inference' serves none of"),
    "people who sign in with a party that operates": (
        AUTOMATION + "starts_chains",
        True,
        "automation/ci.operates: only for a confidential client that no user signs in with",
    ),
    "an operation of somebody's client": (
        ZT + "delegates",
        ["registry.admin", "registry.revoke"],
        "zt.delegates: registry.revoke: for parties with operates alone",
    ),
    "a party that operates beside the authorities": (
        AUTOMATION + "may_call",
        ["authority/registry", "orchestrator"],
        "automation/ci.may_call: with operates, the registry, the policy authority, or both, and no other",
    ),
    "a party that operates nowhere": (
        AUTOMATION + "may_call",
        GONE,
        "automation/ci.may_call: with operates, the registry, the policy authority, or both, and no other",
    ),
    "a call to a party that operates": (
        ORCHESTRATOR + "may_call",
        ["automation/ci"],
        "may_call: 'automation/ci' cannot be called by this party",
    ),
    "a scope nobody serves": ("scopes:tool.erase", {"served_by": []}, "scopes.tool.erase.served_by"),
    "a name for nobody": ("parties:friend", {"id": "client", "keycloak": "none"}, "parties.friend.keycloak: " + NO_JWT),
    "chains without a client": (ATTESTATION + "starts_chains", True, "authority/attestation.keycloak: " + NO_TOKENS),
    "chains that lead nowhere": (DOCUMENTS + "starts_chains", True, "parties.tool/documents.may_call: " + ONE),
    "a call to who starts chains": (
        ORCHESTRATOR + "starts_chains",
        True,
        "walkthrough.may_call: 'orchestrator' cannot be",
    ),
    "no word on how a party is named": (READER + "id", GONE, "parties.agent/reader.id"),
    "no word on what a party is at Keycloak": (READER + "keycloak", GONE, "parties.agent/reader.keycloak"),
    "a scope that is no scope": ("scopes:tool.*", {"served_by": ["tool/documents"]}, "scopes.tool.*"),
    "a trust domain that is none": ("trust_domain", "agents.example/orchestrator", "trust_domain"),
    "a realm that is a path": ("realm", "agents/../master", "realm"),
    "a certificate that ends before it is renewed": ("freshness:x509_svid", 3, "freshness.x509_svid"),
    "a certificate that lives too long": ("freshness:x509_svid", 121, "freshness.x509_svid"),
    "news that may be of any age": ("freshness:revocations", 0, "freshness.revocations"),
    "news that is too old": ("freshness:revocations", 4, "freshness.revocations"),
    "an identity that lives for no time": ("freshness:svid", 0, "freshness.svid"),
    "an identity that lives too long": ("freshness:svid", 61, "freshness.svid"),
    "keys that are read anew all the time": ("freshness:keys", 0, "freshness.keys"),
    "keys that are believed too long": ("freshness:keys", 301, "freshness.keys"),
    "a key nobody knows": (READER + "trusted", True, "parties.agent/reader.trusted"),
    "a wrong type": (READER + "max_ttl", "60", "parties.agent/reader.max_ttl"),
    "a name of another kind": (READER + "id", "friend", "parties.agent/reader.id"),
    "another kind of client": (READER + "keycloak", "secret", "parties.agent/reader.keycloak"),
    "a folder outside": (READER + "code", "../elsewhere", "parties.agent/reader.code"),
    "a name that is no name": ("parties:Reader", {"id": "spiffe", "keycloak": "none"}, "parties.Reader"),
    "a sign-in that ends anywhere": (ZT + "redirect_uris", [CONSOLE + "*"], "parties.zt.redirect_uris.0"),
    "a sign-in with a long end": (
        ZT + "redirect_uris",
        [CONSOLE + "x" * 256],
        "zt.redirect_uris.0: String should have at most 256",
    ),
    "a sign-in without TLS": (ZT + "redirect_uris", [CONSOLE.replace("https", "http")], "parties.zt.redirect_uris.0"),
    "no parties": ("parties", GONE, "parties"),
    "a server outside that anybody reaches": ("outside:llama", PIN, "outside.llama.reached_by: Field required"),
    "a server outside that an unmeasured party reaches": (
        "outside:llama",
        PIN | {"reached_by": "zt"},
        "outside.llama.reached_by: 'zt' is not a party that runs measured code",
    ),
    "a server outside for which nobody gets the tokens that it takes": (
        "outside:llama",
        INFERENCE | {"takes_tokens": True},
        "outside.llama.takes_tokens: 'inference', and no other party, has 'llama' in may_call",
    ),
    "a server outside with tokens of two parties": (
        READER + "may_call",
        ["tool/documents", "inference", "llamastack"],
        "outside.llamastack.takes_tokens: 'inference', and no other party, has 'llamastack' in may_call",
    ),
    "tokens for a server outside that takes none": (TOKENS, GONE, "inference.may_call: 'llamastack' cannot be called"),
    "a scope of a server outside that takes no tokens": (TOKENS, GONE, "llama.chat.served_by: 'llamastack' is not"),
    "a server outside with half a pin": (
        "outside:llama",
        INFERENCE | {"spki_sha256": "0" * 63},
        "outside.llama.spki_sha256",
    ),
    "a server outside by a party's name": (
        "outside:inference",
        INFERENCE | PIN,
        "outside.inference: a party has that name",
    ),
}


@pytest.mark.parametrize(("path", "value", "why"), HERE.values(), ids=HERE)
def test_a_mistake_is_refused_with_file_key_and_reason(tmp_path: Path, path: str, value: Any, why: str) -> None:
    told = refused(tmp_path, yaml.safe_dump(changed(path, value), sort_keys=False))

    one = value[0] if isinstance(value, list) and value else value
    assert f"{path.replace(':', '.')}: {why.replace('{}', repr(one))}" in told


@pytest.mark.parametrize(("path", "value", "why"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_mistake_is_named_by_the_key_that_it_spoils(tmp_path: Path, path: str, value: Any, why: str) -> None:
    assert why in refused(tmp_path, yaml.safe_dump(changed(path, value), sort_keys=False))


def test_a_registry_has_a_bound_and_is_a_file(tmp_path: Path) -> None:
    file, text = tmp_path / "registry.yaml", (ROOT / "registry.yaml").read_text()

    def why() -> str:
        with pytest.raises(RegistryError) as error:
            load_registry(file)
        return str(error.value)

    assert "registry.yaml: cannot be read (No such file" in why()
    file.write_text(text.ljust(MAX_FILE))
    assert load_registry(file)
    file.write_text(text.ljust(MAX_FILE + 1))
    assert "registry.yaml: cannot be read (more than 262,144 bytes)" in why()
    file.write_bytes(b"trust_domain: \xff")
    assert "utf-8" in why()
    file.unlink()
    os.mkfifo(file)
    assert "registry.yaml: cannot be read (not a regular file)" in why()


def test_nobody_changes_a_registry_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_registry(ROOT / "registry.yaml").realm = "master"  # type: ignore[misc]


def test_a_client_without_a_certificate_is_no_peer_and_a_party_without_a_limit_of_its_own_has_none(
    registry: Registry,
) -> None:
    expected = expectations_of("orchestrator", registry, "https://issuer.test")

    assert registry.without_certificate.isdisjoint(expected.peers.values())
    assert None not in expected.max_ttls.values()
