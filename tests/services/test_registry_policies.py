"""What the policy authority brings to the registry: what is taken, kept and passed on, and what is not."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from authorities.registry import stream as sending
from authorities.registry.policies import KEPT
from authorities.registry.reasons import RegistryReason
from authorities.registry.state import Entry, State
from tests.support.ca import CA, the_ca
from tests.support.issuer import Issuer
from tests.support.policies import AUTHORITY, AUTHORITYS_ID, keep, signed
from tests.support.registry_authority import NAME, Authority, authority_in
from tests.support.system import POLICY, lifespan, svid_of
from zerotrust.authority.files.reading import RegistryError
from zerotrust.decision import Reason
from zerotrust.registry.policy_bundle import MAX_STEP, MAX_VERSION, SignedPolicy
from zerotrust.registry.topics import POLICY as POLICY_TOPIC

POLICY_PARTY = "authority/policy"
STRICTER = POLICY.model_copy(update={"policies": POLICY.policies.replace('"/operators"', '"/nobody"')})
UNFIT = POLICY.model_copy(update={"policies": "permit (principal, action, resource) when { context.wish };"})


async def numbers(authority: Authority) -> dict[str, int]:
    """What the heartbeat announces with which the feed begins."""
    lines = await authority.heard()
    return dict(next(line["numbers"] for line in lines if "numbers" in line))


async def listed(authority: Authority) -> Any:
    """What an operator is answered."""
    return await authority.ask("GET", "/parties", token=authority.operators_token())


REFUSED: dict[str, tuple[SignedPolicy, int, RegistryReason]] = {
    "nothing": (SignedPolicy(bundle=""), 422, RegistryReason.BUNDLE_REFUSED),
    "another party's": (signed(POLICY, 2, svid_of("agent/writer")), 422, RegistryReason.BUNDLE_REFUSED),
    "the registry's own": (signed(POLICY, 2, svid_of(NAME)), 422, RegistryReason.BUNDLE_REFUSED),
    "a foreign one": (signed(POLICY, 2, CA().svid(AUTHORITY)), 422, RegistryReason.BUNDLE_REFUSED),
    "an ended one": (signed(POLICY, 2, the_ca().svid(AUTHORITY, left=-1)), 422, RegistryReason.BUNDLE_REFUSED),
    "one that does not fit its schema": (signed(UNFIT, 2), 422, RegistryReason.BUNDLE_REFUSED),
    "one far ahead": (signed(STRICTER, 1 + MAX_STEP + 1), 422, RegistryReason.BUNDLE_REFUSED),
    "another content of the same version": (signed(STRICTER, 1), 409, RegistryReason.POLICY_OLDER),
}


@pytest.mark.parametrize(("sent", "status", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_changes_nothing(
    authority: Authority, sent: SignedPolicy, status: int, reason: RegistryReason
) -> None:
    answer = await authority.bring(sent)

    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.json()["advice"]
    assert (await numbers(authority))["policy"] == 1
    assert (await listed(authority)).status_code == 200
    assert all(action != "activate" for action, _ in authority.events)


async def test_a_new_version_is_on_record_and_brought_again_it_is_no_news(authority: Authority) -> None:
    for _ in range(2):
        assert (await authority.bring(signed(STRICTER, 2))).status_code == 204
    resigned = signed(STRICTER, 2, the_ca().svid(AUTHORITY))
    assert (await authority.bring(resigned)).status_code == 204

    assert (await numbers(authority))["policy"] == 3  # signed anew, it is a line of its own
    activated = [event for event in authority.events if event[0] == "activate"]
    assert activated == [("activate", f"policy 2 {STRICTER.digest}")]
    assert (await listed(authority)).json()["reason"] == Reason.POLICY_DENIED


async def test_a_version_may_be_somewhat_ahead_and_where_there_was_none_any_number_is_taken(
    authority: Authority, tmp_path: Path, issuer: Issuer
) -> None:
    assert (await authority.bring(signed(STRICTER, 1 + MAX_STEP))).status_code == 204
    assert (await authority.bring(signed(POLICY, 1 + 2 * MAX_STEP))).status_code == 204

    empty = Authority(tmp_path / "empty", issuer, first=True)
    async with lifespan(empty.app):
        assert (await empty.bring(signed(POLICY, MAX_VERSION + 1))).json()["reason"] == RegistryReason.BUNDLE_REFUSED
        assert (await empty.bring(signed(POLICY, MAX_VERSION))).status_code == 204


async def suspended_with(folder: Path, cause: str) -> None:
    """An earlier run has suspended the policy authority."""
    (data := folder / "authority-registry").mkdir(parents=True, exist_ok=True)
    state = State(data / "revocations.db")
    async with state.open():
        await state.change([Entry(("party", AUTHORITYS_ID), cause)])


async def test_a_policy_authority_that_drifts_before_it_has_brought_policies_is_told_to_whoever_reads_the_log(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path, issuer, first=True)
    async with lifespan(authority.app):
        for _ in range(2):
            await authority.report({AUTHORITY: "app.py", "agent/reader": "main.py"})
        assert (await authority.bring(signed())).json()["reason"] == Reason.REVOKED
        assert (await listed(authority)).json()["reason"] == Reason.POLICY_UNKNOWN

    said, *more = [one.getMessage() for one in caplog.records if "has never brought policies" in one.getMessage()]
    assert not more
    assert said.startswith(
        f"{AUTHORITY} is suspended (drift: app.py), and has never brought policies to this registry."
    )


async def test_a_registry_that_nobody_could_operate_does_not_start_and_says_what_to_do(
    tmp_path: Path, issuer: Issuer
) -> None:
    await suspended_with(tmp_path, "drift: app.py")
    with pytest.raises(RuntimeError, match=r"RegistryError: .*has never brought.* `make fresh`, `make up`; in cont"):
        async with lifespan(Authority(tmp_path, issuer, first=True).app):
            pass

    keep(tmp_path / "authority-registry", UNFIT)
    with pytest.raises(
        RuntimeError, match=r"RegistryError: .*not fit this registry.*wish.*Undo the change of registry\.yaml"
    ):
        async with lifespan(Authority(tmp_path, issuer).app):
            pass


async def test_what_keycloak_has_suspended_it_can_reinstate_so_the_registry_starts(
    tmp_path: Path, issuer: Issuer
) -> None:
    await suspended_with(tmp_path, "keycloak: disabled")
    async with lifespan((authority := Authority(tmp_path, issuer, first=True)).app):
        assert (await listed(authority)).json()["reason"] == Reason.POLICY_UNKNOWN


async def test_a_policy_authority_that_signs_no_more_can_be_reinstated_also_after_a_start(
    tmp_path: Path, issuer: Issuer
) -> None:
    """The registry decides by the last version that it took, and announces none; that version is not forgotten."""
    keep((kept := tmp_path / "authority-registry" / KEPT).parent)
    ended = signed(POLICY, 1, the_ca().svid(AUTHORITY, left=-1)).bundle
    kept.write_text(kept.read_text().replace(signed().bundle, ended))
    authority = Authority(tmp_path, issuer)
    async with lifespan(authority.app):
        await silent_about_policies(authority)
        assert (await listed(authority)).status_code == 200
        reinstated = await authority.operate("POST", f"/parties/{POLICY_PARTY}/reinstate", {})
        assert reinstated["party"]["state"] == "active"

        assert (await authority.bring(signed(STRICTER, 1))).json()["reason"] == RegistryReason.POLICY_OLDER
        assert (await authority.bring(signed())).status_code == 204
        assert (await numbers(authority))["policy"] == 1


async def silent_about_policies(authority: Authority) -> None:
    lines = await authority.heard(tries=[0.5])
    assert POLICY_TOPIC.type not in [line["kind"] for line in lines]
    assert "policy" not in await numbers(authority)


async def test_policies_that_are_about_to_end_are_not_announced_and_decide_for_operators_alone(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = the_ca().svid(AUTHORITY, left=600)
    assert (await authority.bring(signed(POLICY, 2, short))).status_code == 204
    monkeypatch.setattr(sending, "ENDING", 600)
    assert "policy" not in await numbers(authority)
    assert (await listed(authority)).status_code == 200

    service = authority.system.services[NAME]
    engine: Any = service._decider.policy
    monkeypatch.setattr(engine, "_clock", lambda: time.time() + 601)
    assert (await listed(authority)).status_code == 200


async def test_what_was_kept_and_is_damaged_is_named_and_not_forgotten(tmp_path: Path, issuer: Issuer) -> None:
    """Without it, the registry would take an older version again."""
    keep((kept := tmp_path / "authority-registry" / KEPT).parent)
    foreign = kept.read_text().replace(POLICY.digest, STRICTER.digest)

    for damaged in ("{", foreign):
        kept.write_text(damaged)
        folder = tmp_path / str(len(damaged))
        folder.mkdir()
        (tmp_path / "authority-registry").rename(folder / "authority-registry")
        with pytest.raises(RegistryError, match=f"{KEPT} is damaged: restore it from a backup"):
            Authority(folder, issuer)
        kept.parent.mkdir()


async def test_a_registry_whose_kept_policies_do_not_fit_it_starts_without_any(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path / "authority-registry", UNFIT)
    async with authority_in(tmp_path, issuer) as authority:
        assert (await listed(authority)).json()["reason"] == Reason.POLICY_UNKNOWN
        assert "the kept policies do not fit the registry" in caplog.text
        assert (await authority.bring(signed(POLICY, 2))).status_code == 204
        assert (await listed(authority)).status_code == 200


async def test_a_disk_that_is_full_leaves_the_policies_as_they_were(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("authorities.registry.policies.write_file", full)
        assert (await authority.bring(signed(STRICTER, 2))).status_code == 500
    assert (await numbers(authority))["policy"] == 1
    assert (await listed(authority)).status_code == 200
    assert (await authority.bring(signed(STRICTER, 2))).status_code == 204


async def test_a_registry_whose_authorities_change_is_unfit(authority: Authority) -> None:
    snapshot = authority.system.snapshot
    named = snapshot.registry.authorities.model_copy(update={"policy": "agent/reader"})
    other = snapshot.model_copy(update={"registry": snapshot.registry.model_copy(update={"authorities": named})})
    authority.found = lambda: other

    answer = await authority.ask("POST", "/reload", {}, token=authority.operators_token())

    assert (answer.status_code, answer.json()["reason"]) == (409, RegistryReason.REGISTRY_UNFIT)
    assert "make down, then make up" in answer.json()["advice"]


async def test_two_that_come_together_are_taken_one_after_the_other(authority: Authority) -> None:
    versions = [signed(POLICY, number) for number in range(2, 8)]
    answers = await asyncio.gather(*(authority.bring(one) for one in reversed(versions)))

    assert {answer.status_code for answer in answers} <= {204, 409}
    assert (await authority.bring(versions[-2])).status_code == 409  # the newest one was taken, and stays
