"""What readers of receipts are given in the Python tests, and what Python finds: another verifier finds the same.

As a plugin of pytest (`-p tests.support.receipt_cases`), it notes each call of `verify` in the tests that run.
"""

import base64
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from evidence.participants import Proven, verify
from evidence.unproven import Unproven
from tests.support import receipt_tree
from tests.support.ca import CA, the_ca
from tests.support.receipt_tree import Task
from tests.support.tlog import ORIGIN, Keys, witness
from zerotrust.spiffe.svid import Svid
from zerotrust.tlog.note import ED25519
from zerotrust.tlog.proof import evidence_of
from zerotrust.tlog.quorum import policy

FILE = "RECEIPT_CASES"
"""The variable that names the file for the plugin's cases, as JSON."""
FLIPS = 150
"""Bytes that are changed, one at a time, in an answer, and in its proof."""


class Case(NamedTuple):
    """What a reader has, as the console gives it to a page; and the step and the party that Python names, or none."""

    given: dict[str, Any]
    found: tuple[int, str] | None


_noted: list[Case] = []


def _noting(answer: bytes, **believed: Any) -> Proven:
    alone = believed | {"leaves": None, "also": ()}  # step 10 is Python's alone
    _noted.append(Case(given(answer, **alone), found(answer, **alone)))
    return verify(answer, **believed)


def pytest_configure(config: pytest.Config) -> None:
    """Note what `verify` is given, for the time of the tests."""
    patched = patch.object(receipt_tree, "verify", _noting)
    patched.start()
    config.add_cleanup(patched.stop)


def pytest_sessionfinish() -> None:
    """Write the cases of these tests, and those that no test has."""
    for run in [*_certificates(), *_policies()]:
        with suppress(Unproven):
            run()
    Path(os.environ[FILE]).write_text(json.dumps([*_noted, *_flips()]))


def given(answer: bytes, **believed: Any) -> dict[str, Any]:
    """What the console gives to a page, in JSON."""
    evidence, request, accepted, trusted = (believed[one] for one in ("evidence", "request", "accepted", "policy"))
    parties = {
        name: {
            "code": [*one.code],
            "permissions": None if one.permissions is None else [*one.permissions],
            "clients": [*one.clients],
        }
        for name, one in accepted.parties.items()
    }
    lines = [f"log {key}" for key in trusted.logs]
    lines += [f"witness {name} {key}" for name, key in trusted.witnesses.items()]
    lines += [f"group {name} {one.least} {' '.join(one.members)}" for name, one in trusted.groups.items()]
    return {
        "answer": base64.b64encode(answer).decode(),
        "request": None if request is None else base64.b64encode(request).decode(),
        "transaction": believed["transaction"],
        "proof": evidence and json.dumps({"entry": evidence.entry.decode(), "proof": str(evidence.proof)}),
        "authorities": "".join(one.public_bytes(Encoding.PEM).decode() for one in believed["authorities"]),
        "policy": "\n".join([*lines, f"quorum {trusted.quorum}"]),
        "accepted": {"parties": parties, "outside": [*accepted.outside]},
    }


def found(answer: bytes, **believed: Any) -> tuple[int, str] | None:
    """The step and the party that fail."""
    try:
        verify(answer, **believed)
    except Unproven as error:
        return error.step, error.party
    return None


def _certificates() -> Iterator[Callable[[], object]]:
    """The model's certificate is another one."""
    root = CA(path_length=2)
    deep = CA(above=CA(above=CA(above=CA(above=CA(path_length=4), path_length=3), path_length=2), path_length=1))
    issuers = [CA(above=root), CA(above=CA(above=root, path_length=1)), CA(above=CA(above=CA())), deep]
    own, two = "spiffe://agents.example", ["spiffe://agents.example/inference", "spiffe://agents.example/other"]
    how: list[dict[str, Any]] = [{"ids": ids} for ids in ([], two, ["https://agents.example/inference"], [own])]
    how += [{"signs": None}, {"signs": False}, {"is_ca": True}]
    how += [{"usages": [usage]} for usage in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)]
    shown = [the_ca().svid("inference", life=120, **one) for one in how]
    shown += [ca.svid("inference", life=120) for ca in issuers]
    between, leaf = issuers[0].certificate, root.svid("agent/reader").certificate
    chains: tuple[list[Any], ...] = (
        [],
        [CA(above=root).certificate],
        [between, between],
        [between, root.certificate],
        [between, leaf],
    )
    shown += [replace(shown[len(how)], intermediates=tuple(chain)) for chain in chains]
    shown += [_with_extension(shown[len(how) - 1], critical=critical) for critical in (False, True)]
    bundle = [one for ca in (the_ca(), *issuers) for one in ca.bundle]
    return (partial(_with_model, svid, bundle) for svid in shown)


def _with_extension(svid: Svid, *, critical: bool) -> Svid:
    """The same with an extension that nobody knows."""
    old, unknown = svid.certificate, x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    valid = old.not_valid_before_utc, old.not_valid_after_utc
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number, *valid)
    for one in old.extensions:
        builder = builder.add_extension(one.value, one.critical)
    return replace(svid, certificate=builder.add_extension(unknown, critical).sign(the_ca().key, SHA256()))


def _with_model(svid: Svid, authorities: list[Any]) -> None:
    task = Task()
    task.model.svid = svid
    task.verified(authorities=authorities)


def _policies() -> Iterator[Callable[[], object]]:
    """Another log, and other quorums than that of one witness."""
    task, foreign = Task(), Keys(ORIGIN, ED25519, "another").public
    witnesses = f"witness registry {task.witness.public}\nwitness other {witness('other').public}\n"
    yield partial(task.verified, policy=policy(f"log {foreign}\n{witnesses}quorum registry"))
    for least in "all", "any", "2":
        text = f"log {task.keys.public}\n{witnesses}group g {least} registry other\nquorum g"
        yield partial(task.verified, policy=policy(text))


def _flips() -> Iterator[Case]:
    """Another byte somewhere, always at the same places; and an index beyond the log."""
    task, chance = Task(), random.Random(34)  # noqa: S311 - to choose places
    answer, evidence = task.answer(), task.evidence()
    believed: dict[str, Any] = {"authorities": the_ca().bundle, "accepted": task.accepted, "policy": task.policy}
    believed |= {"request": task.request, "transaction": task.txn, "evidence": evidence}
    for changed in _changed(answer, chance):
        yield Case(given(changed, **believed), found(changed, **believed))
    good = given(answer, **believed)
    index = b"index %d" % evidence.proof.index
    proof = good["proof"].encode()
    for raw in [proof.replace(index, b"%b%d" % (index, 10**6)), *_changed(proof, chance)]:
        step: tuple[int, str] | None = 3, task.orchestrator.id
        with suppress(ValueError):
            step = found(answer, **believed | {"evidence": evidence_of(raw)})
        yield Case(good | {"proof": raw.decode()}, step)


def _changed(raw: bytes, chance: random.Random) -> Iterator[bytes]:
    for at in (chance.randrange(len(raw)) for _ in range(FLIPS)):
        other = chance.choice([one for one in b'Aa0.~-_"{ ' if one != raw[at]])
        yield raw[:at] + bytes([other]) + raw[at + 1 :]
