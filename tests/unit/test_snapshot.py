"""What the registry says: complete, or not believed at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from authorities.policy.versions import content_of
from tests.support.system import POLICIES, POLICY, ROOT, registry
from zerotrust.authority.files import snapshot_files as files
from zerotrust.authority.files.lock import FILES, LOCK, REGISTRY, entries, load_lock
from zerotrust.authority.files.reading import RegistryError, read_content
from zerotrust.authority.files.snapshot_files import MAX_ENROLLED, MAX_POLICY_FILES, load_registry, load_snapshot
from zerotrust.registry.events import document
from zerotrust.registry.snapshot import MAX_POLICY, RegistrySnapshot
from zerotrust.registry.topics import LatestDocument
from zerotrust.spiffe.statement import InvalidStatement

DEPLOYMENT = ROOT / "start" / "generated" / "local.yaml"
PIN = "ab" * 32
KNOWN = RegistrySnapshot(
    registry=registry(),
    addresses={
        "agent/reader": "https://reader.agent.agents.example",
        "authority/registry": "https://registry.authority.agents.example",
    },
    places={"agent/reader": "https://127.0.0.1:8102"},
    approved=load_lock(ROOT / "registry.lock").parties,
)


def test_the_same_has_the_same_digest_and_stays_the_same() -> None:
    turned = KNOWN.model_copy(update={"addresses": dict(reversed(KNOWN.addresses.items()))})

    assert turned.digest == KNOWN.digest != KNOWN.model_copy(update={"addresses": {}}).digest
    with pytest.raises(ValueError, match="frozen"):
        KNOWN.addresses = {}  # type: ignore[misc]


def test_a_party_is_called_by_its_name_in_certificates_wherever_it_is_found() -> None:
    to = KNOWN.directory()

    assert to.names == {
        "https://reader.agent.agents.example": "reader.agent.agents.example",
        "https://registry.authority.agents.example": "registry.authority.agents.example",
    }
    assert to.places == {"reader.agent.agents.example": ("127.0.0.1", 8102)}
    elsewhere = KNOWN.model_copy(update={"places": {"agent/reader": "https://reader.example.org"}}).directory()
    assert elsewhere.places == {"reader.agent.agents.example": ("reader.example.org", 443)}
    assert to.parties == {
        "reader.agent.agents.example": "spiffe://agents.example/agent/reader",
        "registry.authority.agents.example": "spiffe://agents.example/authority/registry",
    }
    assert KNOWN.callees() == {
        "spiffe://agents.example/agent/reader": "https://reader.agent.agents.example",
        "spiffe://agents.example/authority/registry": "https://registry.authority.agents.example",
    }


@pytest.mark.parametrize(
    ("caller", "callees"),
    [
        ("orchestrator", {"agent/reader"}),
        ("zt", {"authority/registry"}),
        ("agent/reader", set()),
        ("authority/registry", set()),
        ("agent/removed", set()),
    ],
)
def test_a_party_connects_to_those_that_it_may_call_alone(caller: str, callees: set[str]) -> None:
    to = KNOWN.directory(caller)

    assert set(to.parties.values()) == {KNOWN.registry.id(name) for name in callees}
    assert to.names == {KNOWN.addresses[name]: KNOWN.registry.dns_name(name) for name in callees}
    assert to.places == {KNOWN.registry.dns_name(name): ("127.0.0.1", 8102) for name in callees & KNOWN.places.keys()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files that are read."""
    for file in FILES:
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    return tmp_path


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda said: said.pop(name)


@pytest.mark.parametrize(
    "spoil",
    [
        _without("registry"),
        _without("addresses"),
        _without("approved"),
        lambda said: said.update(more=1),
        lambda said: said.update(addresses={"Agent": "https://x"}),
        lambda said: said.update(addresses={"agent/reader": 7}),
        lambda said: said.update(places={"agent/reader": 7}),
        lambda said: said.update(outside={"llamastack": {"origin": "https://x", "spki_sha256": PIN, "more": 1}}),
        lambda said: said["registry"]["parties"]["orchestrator"].update(admin=True),
        lambda said: said["registry"]["freshness"].update(revocations=0),
        lambda said: said["registry"]["freshness"].update(revocations="3"),
        lambda said: said["approved"]["agent/reader"].update(card="0"),
    ],
)
def test_half_a_registry_is_none(spoil: Callable[[dict[str, Any]], Any]) -> None:
    said = orjson.loads(document("", 1, KNOWN))
    spoil(said["document"])

    with pytest.raises(InvalidStatement, match="RegistrySnapshot: "):
        LatestDocument(RegistrySnapshot).take(said)


@pytest.mark.parametrize("name", ["number", "document"])
def test_half_a_line_is_no_version(name: str) -> None:
    said = orjson.loads(document("", 1, KNOWN))
    del said[name]

    with pytest.raises(InvalidStatement, match=f"malformed RegistrySnapshot: '{name}'"):
        LatestDocument(RegistrySnapshot).take(said)


def test_whoever_serves_something_can_be_called_and_nobody_else() -> None:
    snapshot, serving = (
        load_snapshot(ROOT, DEPLOYMENT),
        {*registry().services, "authority/registry", "authority/policy"} - {"console"},  # browsers find it by DNS
    )

    assert snapshot.places.keys() == snapshot.addresses.keys() == {*serving, "authority/audit"}
    assert snapshot.callees().keys() == {registry().id(name) for name in serving}  # no token is for the audit log
    assert snapshot.places["agent/reader"] == "https://127.0.0.1:8102"
    assert snapshot.callees()[registry().id("agent/reader")] == "https://reader.agent.agents.example"


def test_a_server_is_published_when_its_key_is_enrolled_and_not_before(tmp_path: Path) -> None:
    enrolled = tmp_path / "outside.json"
    assert load_snapshot(ROOT, DEPLOYMENT, enrolled).outside == {}

    enrolled.write_text(f'{{"llamastack": "{PIN}"}}')
    server = load_snapshot(ROOT, DEPLOYMENT, enrolled).outside["llamastack"]
    assert (server.origin, server.spki_sha256) == ("https://127.0.0.1:8321", PIN)

    enrolled.unlink()
    assert load_snapshot(ROOT, DEPLOYMENT, enrolled).outside == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "outside.json: Expecting"),
        ('{"llamastack": "ab"}', "llamastack: String should match"),
        ('{"llamastack": 1}', "llamastack: Input should be a valid string"),
        (f'{{"inference": "{PIN}"}}', "inference: not an outside server of the registry"),
    ],
)
def test_a_file_of_enrolled_keys_that_is_not_one_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "outside.json").write_text(text)

    with pytest.raises(RegistryError, match=why):
        load_snapshot(ROOT, DEPLOYMENT, tmp_path / "outside.json")


def test_a_file_of_enrolled_keys_has_a_bound(tmp_path: Path) -> None:
    enrolled, text = tmp_path / "outside.json", f'{{"llamastack": "{PIN}"}}'
    enrolled.write_text(text.ljust(MAX_ENROLLED))
    assert load_snapshot(ROOT, DEPLOYMENT, enrolled).outside

    enrolled.write_text(text.ljust(MAX_ENROLLED + 1))
    with pytest.raises(RegistryError, match=r"outside\.json: cannot be read \(more than 65,536 bytes\)"):
        load_snapshot(ROOT, DEPLOYMENT, enrolled)


@pytest.mark.parametrize("enrolled", [PIN, "cd" * 32])
def test_an_enrolled_key_that_contradicts_the_registry_is_an_error_that_names_both(
    tmp_path: Path, enrolled: str
) -> None:
    old, new = "takes_tokens: true", f"takes_tokens: true\n    spki_sha256: {PIN}"
    (tmp_path / REGISTRY).write_text((ROOT / REGISTRY).read_text().replace(old, new))
    approved = entries(load_registry(tmp_path / REGISTRY))
    lock = orjson.loads((ROOT / LOCK).read_bytes()) | {"registry": approved}
    (tmp_path / LOCK).write_bytes(orjson.dumps(lock))
    (tmp_path / "outside.json").write_text(f'{{"llamastack": "{enrolled}"}}')

    if enrolled == PIN:
        assert load_snapshot(tmp_path, DEPLOYMENT, tmp_path / "outside.json").outside["llamastack"].spki_sha256 == PIN
        return
    with pytest.raises(RegistryError) as refused:
        load_snapshot(tmp_path, DEPLOYMENT, tmp_path / "outside.json")
    assert f"outside.json: llamastack: {enrolled} is not the key in registry.yaml, {PIN}" in str(refused.value)


def test_the_digests_are_those_of_what_was_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attestation is told them, and launches by them."""
    with (folder / "registry.yaml").open("a") as registered:
        registered.write("# a remark, which needs no approval\n")
    genuine = load_snapshot(folder, DEPLOYMENT)

    def then_changed(path: Path) -> bytes:
        text = read_content(path)
        path.write_bytes(b"something else")
        return text

    monkeypatch.setattr(files, "read_content", then_changed)

    assert load_snapshot(folder, DEPLOYMENT) == genuine
    assert genuine.read_from.keys() == set(FILES)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("may_call: [tool/documents, inference]", "may_call: [tool/documents]", "parties.agent/reader"),
        ("high_risk: true", "high_risk: false", "scopes.tool.write"),
        ("max_ttl: 60", "max_ttl: 61", "parties.zt"),
        ("[/engineering, /finance]", "[/engineering, /finance, /legal]", "departments"),
        ("keys: 300", "keys: 299", "freshness"),
        ("realm: agents", "realm: others", "realm"),
        ("redirect_uris: [http://127.0.0.1:8000/", "redirect_uris: [http://127.0.0.1:8001/", "parties.walkthrough"),
        ("takes_tokens: true", f"takes_tokens: true\n    spki_sha256: {'a' * 64}", "outside.llamastack"),
    ],
)
def test_a_registry_that_nobody_approved_is_not_served(folder: Path, old: str, new: str, key: str) -> None:
    text = (folder / "registry.yaml").read_text()
    assert old in text
    (folder / "registry.yaml").write_text(text.replace(old, new, 1))

    with pytest.raises(RegistryError, match=rf"registry.lock approves \({key}\): `make register`"):
        load_snapshot(folder, DEPLOYMENT)


@pytest.mark.parametrize("number", [0, MAX_POLICY_FILES + 1])
def test_as_many_policy_files_as_one_reviews(tmp_path: Path, number: int) -> None:
    for name in ("schema.cedarschema", "decisions.md"):
        shutil.copy(POLICIES / name, tmp_path)
    for one in range(number):
        (tmp_path / f"{one}.cedar").touch()

    with pytest.raises(RegistryError, match=f"{number} policy files \\(\\*.cedar\\), expected 1 to 32"):
        content_of(tmp_path)


def test_policies_that_together_are_too_long_are_refused(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, folder := tmp_path / "policies")
    for name in ("apis.cedar", "documents.cedar"):
        (folder / name).write_text(" " * (MAX_POLICY // 2))

    with pytest.raises(RegistryError, match=r"policies: the policies have more than 65536 characters"):
        content_of(folder)


@pytest.mark.parametrize("name", ["apis.cedar", "schema.cedarschema"])
def test_policies_that_cannot_be_read_are_said_to_be_that(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    assert content_of(folder).document == POLICY
    for unfit, why in ((b"\xff", "utf-8"), (b" " * (MAX_POLICY + 1), "at most 65536 characters")):
        (folder / name).write_bytes(unfit)
        with pytest.raises(RegistryError, match=f"policies: .*{why}"):
            content_of(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("nothing")
    with pytest.raises(RegistryError, match=f"{name}: cannot be read"):
        content_of(folder)
