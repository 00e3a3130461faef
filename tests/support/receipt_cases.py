"""What readers of receipts are given in the Python tests, and what Python finds: another verifier finds the same.

As a plugin of pytest (`-p tests.support.receipt_cases`), it notes each call of `verify` in the tests that run.
"""

import base64
import datetime as dt
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

from evidence.participants import Proven, verify
from evidence.unproven import Unproven
from tests.support import receipt_tree
from tests.support.ca import CA, the_ca
from tests.support.receipt_tree import Task, spiffe_id
from tests.support.tlog import ORIGIN, Keys, Log, witness
from zerotrust.authority.log.proofs import inclusion_proof
from zerotrust.receipts.receipt import KIND, digest_of
from zerotrust.spiffe.svid import Svid
from zerotrust.tlog.checkpoint import cosign_checkpoint, sign_checkpoint
from zerotrust.tlog.note import ED25519, Note
from zerotrust.tlog.proof import Evidence, Proof, evidence_of
from zerotrust.tlog.quorum import policy
from zerotrust.tlog.tree import InvalidLog

FILE = "RECEIPT_CASES"
"""The variable that names the file for the plugin's cases, as JSON."""
ECDSA_WITH_SHA256 = bytes.fromhex("2a8648ce3d040302")
"""The OID, in DER."""
CLAIMS = (False, True), (True, True), (False, False)
"""Of a certificate that is no authority's: whether it says that it is one's, and whether its key signs data."""
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
    for run in [*_certificates(), *headers(), *spellings(), *_policies(), *_logs(), *_forms(), *_sizes()]:
        with suppress(Unproven):
            run()
    Path(os.environ[FILE]).write_text(json.dumps([*_noted, *_flips(), *_policy_texts()]))


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
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    for critical in (False, True):
        rebuilt = _rebuilt(shown[len(how) - 1].certificate, the_ca(), unknown, critical=critical)
        shown.append(replace(shown[len(how) - 1], certificate=rebuilt))
    shown.append(the_ca().svid("inference", age=-60, life=120))
    issuers += [_issuing(root.svid("agent/reader", is_ca=is_ca, signs=signs)) for is_ca, signs in CLAIMS]
    issuers += [_lasting(-7_200, -3_600), _lasting(3_600, 7_200), renamed := CA()]
    renamed.key, renamed.bundle = the_ca().key, ()
    shown += [ca.svid("inference", life=120) for ca in issuers[-6:]]
    bundle = [one for ca in (the_ca(), *issuers) for one in ca.bundle]
    return (partial(_with_model, svid, bundle) for svid in shown)


def _rebuilt(
    old: x509.Certificate, issuer: Any, *more: Any, critical: bool = False, valid: tuple[Any, Any] | None = None
) -> x509.Certificate:
    """The same certificate by this issuer, with more extensions or another validity."""
    begins, ends = valid or (old.not_valid_before_utc, old.not_valid_after_utc)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number, begins, ends)
    for one in old.extensions:
        builder = builder.add_extension(one.value, one.critical)
    for extension in more:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, SHA256())


def _lasting(begins: int, ends: int) -> CA:
    """An authority whose certificate is valid from and until so many seconds from now."""
    ca, now = CA(), dt.datetime.now(dt.UTC)
    valid = now + dt.timedelta(seconds=begins), now + dt.timedelta(seconds=ends)
    ca.certificate = _rebuilt(ca.certificate, ca, valid=valid)
    ca.bundle = (ca.certificate,)
    return ca


def _issuing(svid: Svid) -> CA:
    """A party that issues certificates as if its own were an authority's."""
    ca = CA()
    ca.key, ca.name, ca.bundle = svid.key, svid.certificate.subject, svid.bundle
    ca.chain = (svid.certificate, *svid.intermediates)
    return ca


def _with_model(svid: Svid, authorities: list[Any]) -> None:
    task = Task()
    task.model.svid = svid
    task.verified(authorities=authorities)


def headers() -> Iterator[Callable[[], object]]:
    """The model's header has its certificate in another form."""
    task = Task()
    good, svid = task.receipts()[2], task.svid(task.model)
    der = svid.certificate.public_bytes(Encoding.DER)
    signed, _, signature = der.rpartition(ECDSA_WITH_SHA256)
    other = [
        b"\x30\x83\x00" + der[2:],  # a length in another form
        b"\x30\x82" + (len(der) - 3).to_bytes(2, "big") + der[4:],  # a length beyond the end
        der + b"\x05\x00",
        signed + ECDSA_WITH_SHA256[:-1] + b"\x03" + signature,  # SHA-384, where nobody has signed it
        _sequence(signed[4:], ECDSA_WITH_SHA256, b"\x03\x81", signature[1:]),  # a short length in the form of long ones
    ]
    old = svid.certificate.tbs_certificate_bytes.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01")
    bits = b"\x00" + the_ca().key.sign(old, ECDSA(SHA256()))
    algorithm = b"\x30\x0a\x06\x08" + ECDSA_WITH_SHA256
    other.append(_sequence(old, algorithm, b"\x03", bytes([len(bits)]), bits))  # of version 2
    entry, *entries = [base64.b64encode(one).decode() for one in (der, *other)]
    forms: list[Any] = [[entry], [], entry, [5], [entry[:4] + "\n" + entry[4:]], [entry] * 5]
    forms += [[one] for one in entries]
    payload = base64.urlsafe_b64decode(good.split(".")[1] + "==")
    half = re.sub(rb'"policy":"[^"]*"', rb'"policy":"\\ud800"', payload)  # of a character
    for x5c, payload in [*((one, payload) for one in forms), ([entry], half)]:
        again, headers = Task(), {"typ": KIND, "x5c": x5c}
        again.model.signed = jwt.PyJWS().encode(payload, svid.key, "ES256", headers=headers, sort_headers=True)
        yield again.verified


def _sequence(*parts: bytes) -> bytes:
    """A sequence in DER of 256 bytes or more."""
    content = b"".join(parts)
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def spellings() -> Iterator[Callable[[], object]]:
    """The model signs a receipt that it spells in another way: the same content, in other characters."""
    good, svid = Task().receipts()[2], (task := Task()).svid(task.model)
    header, payload, _ = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(header + "=="))
    [entry] = claims["x5c"] = [base64.b64encode(svid.certificate.public_bytes(Encoding.DER)).decode()]
    plain = json.dumps(claims, separators=(",", ":"), sort_keys=True)
    texts = [plain, plain.replace("ES256", "\\u0045S256"), json.dumps(claims), plain + "\n"]
    texts += [json.dumps(dict(reversed(claims.items())), separators=(",", ":"))]
    texts += [
        plain.replace(entry, other) for other in (_trailing(entry.rstrip("=")) + "=" * (-len(entry.rstrip("=")) % 4),)
    ]
    headers = [base64url_encode(text.encode()).decode() for text in texts]
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    ways: list[tuple[str, str, Callable[[str], str]]] = [(one, payload, str) for one in headers]
    ways += [(_trailing(headers[0]), payload, str), (headers[0], _trailing(payload), str)]
    for head, body, end in dict.fromkeys([*ways, (headers[0], payload, _trailing)]):
        signed = f"{head}.{body}"
        signature = base64url_encode(algorithm.sign(signed.encode(), svid.key)).decode()
        again = Task()
        again.model.signed = f"{signed}.{end(signature)}"
        yield again.verified


def _trailing(text: str) -> str:
    """The same bytes with other bits behind them, where there is room for some."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + ("+/" if set(text) & {*"+/"} else "-_")
    return text[:-1] + letters[letters.index(text[-1]) ^ 1] if len(text) % 4 else text


def _policies() -> Iterator[Callable[[], object]]:
    """Another log, and other quorums than that of one witness."""
    task, foreign = Task(), Keys(ORIGIN, ED25519, "another").public
    witnesses = f"witness registry {task.witness.public}\nwitness other {witness('other').public}\n"
    yield partial(task.verified, policy=policy(f"log {foreign}\n{witnesses}quorum registry"))
    yield partial(task.verified, policy=policy(f"log {task.keys.public}\n{witnesses}quorum other"))
    answer, (entry, proof) = task.answer(), task.evidence()
    other, note = Keys("other.example/log", ED25519), task.log.note(task.witness, at=task.seen)
    signed = sign_checkpoint(task.log.checkpoint, other.public, other.private).signatures[0]
    evidence = Evidence(entry, replace(proof, checkpoint=replace(note, signatures=(signed, note.signatures[1]))))
    known = policy(f"log {other.public}\n{witnesses}quorum registry")  # under its own name, for the origin of ours
    yield partial(task.verified, answer, policy=known, evidence=evidence)


def _believed(task: Task) -> dict[str, Any]:
    """What a reader believes of a task whose receipts are made."""
    believed: dict[str, Any] = {"authorities": the_ca().bundle, "accepted": task.accepted, "policy": task.policy}
    return believed | {"request": task.request, "transaction": task.txn, "evidence": task.evidence()}


def _policy_texts() -> Iterator[Case]:
    """Policies that a program writes in another way, or that are none."""
    task = Task()
    answer, believed = task.answer(), _believed(task)
    log, key, more = f"log {task.keys.public}\n", task.witness.public, witness("other").public
    both = f"witness registry {key}\nwitness other {more}\n"
    for text in (
        *(f"{log}{both}{line}\n" for line in ("quorum other", "group g any registry other\nquorum g")),
        f"# ours\n\n{log}witness registry {key} https://registry.example\nquorum registry\n",
        f"{log}{both}quorum other\nquorum registry\n",
        f"{log}{both}quorum registry\nunknown line\n",
        f"{log}{both}quorum none\n",
        f"{log}witness registry {task.keys.public}\nquorum registry\n",
        f"{log}witness registry {key}\nwitness other {Keys('other', ED25519).public}\nquorum registry\n",
        f"log {key}\nwitness registry {key}\nquorum registry\n",
    ):
        step: tuple[int, str] | None = 3, task.orchestrator.id
        with suppress(InvalidLog):
            step = found(answer, **believed | {"policy": policy(text)})
        yield Case(given(answer, **believed) | {"policy": text}, step)


def _logs() -> Iterator[Callable[[], object]]:
    """Another entry, another place in the log, and other signatures of its checkpoint."""
    task = Task()
    answer = task.answer(receipts := task.receipts())
    good, proof = task.evidence()
    others = [
        good.replace(b'"outcome"', b'"outcomes"'),
        good.replace(b'"type":', b'"type":"outcome","type":'),
        good.replace(task.orchestrator.id.encode(), task.reader.id.encode()),
        good.replace(digest_of(receipts[0]).encode(), b"0" * 64),
    ]
    for entry in others:
        yield partial(task.verified, answer, evidence=_logged(task, [*task.entries[:-1], entry, task.heads]))
    full = [*task.entries, *[task.heads] * (16 - len(task.entries))]
    for beyond, size, origin in ((0, 16, ORIGIN), (16, 16, ORIGIN), (-8, 8, ORIGIN), (0, 16, "log.another")):
        yield partial(task.verified, answer, evidence=_logged(task, full, beyond, size, origin))
    note, late, stranger = (
        task.log.note(task.witness, at=task.seen),
        task.seen + 1_000,
        Keys(ORIGIN, ED25519, "another"),
    )
    [own, cosigned] = note.signatures
    [again] = task.log.note(task.witness, at=late).signatures[1:]
    foreign = sign_checkpoint(task.log.checkpoint, stranger.public, stranger.private).signatures[0]
    wrong = replace(own, value=foreign.value)
    for signatures in (
        (own, foreign, cosigned),
        (own, wrong, cosigned),
        (wrong, own, cosigned),
        (foreign, cosigned),
        (own, cosigned, again),
        (own, again, cosigned),
        (own, again),
    ):
        signed = Proof(proof.index, proof.hashes, replace(note, signatures=signatures))
        yield partial(task.verified, answer, evidence=Evidence(good, signed))
    yield partial(task.verified, answer, request=None)


def _logged(task: Task, entries: list[bytes], beyond: int = 0, size: int = 0, origin: str = ORIGIN) -> Evidence:
    """The proof that a log with these entries has that of the orchestrator's receipt.

    `beyond`: added to its index; `size`, `origin`: what the checkpoint says, if not what is true.
    """
    log, index, keys = Log(entries, task.keys), len(task.entries) - 1, task.keys
    hashes = tuple(inclusion_proof(index, len(entries), log.node))
    head = replace(log.checkpoint, size=size or len(entries), origin=origin)
    note = sign_checkpoint(head, keys.public, keys.private)
    cosigned = cosign_checkpoint(note.text, task.witness.public, task.witness.private, task.seen)
    return Evidence(entries[index], Proof(index + beyond, hashes, Note(note.text, (*note.signatures, cosigned))))


def _forms() -> Iterator[Callable[[], object]]:
    """A member of the tool's receipt has another value, mostly one that it cannot have."""
    trace, sha, spiffe = "1" * 32, "0" * 64, spiffe_id("agent/reader")
    ids, shas, codes = ["", " a", "a "], [f"0{sha}", f"{sha}0"], ["_a", "a" * 65, "a "]
    token = {"jti": "T0", "azp": spiffe, "aud": spiffe_id("tool/documents"), "lineage": []}
    call, answered = {"aud": "x", "reason": "not_called"}, {"aud": "x", "receipt": sha}
    calls: list[Any] = [None, {}, call | answered, {"aud": "x"}, call | {"more": 1}]
    calls += [call | {name: value} for name, values in (("aud", ids), ("token", ids)) for value in values]
    calls += [call | {name: value} for name in ("request", "answer") for value in shas]
    calls += [answered | {"receipt": value} for value in shas] + [call | {"reason": value} for value in codes]
    journal = {"n": 2**53 - 1, "sha256": sha}
    values: dict[str, list[Any]] = {
        "id": [f"0{trace}-{'2' * 16}", f"{trace}-{'2' * 17}", 5],
        "began": [-1, "1"],
        "iat": [-1, "1"],
        "token": ["T0", [], *(token | {"jti": one} for one in ids), *(token | {"azp": one} for one in ids)]
        + [token | {"aud": one} for one in (f" {spiffe}", f"{spiffe} ")]
        + [token | {"lineage": "T0"}, token | {"lineage": [" a"]}, token | {"lineage": {}}],
        "status": [-1, 0, 999, 1000],
        "verdict": ["other"],
        "operation": ["é", "a\n", "\na", 5],
        "resources": ["a", [""] * 256, [""] * 257, ["é"]],
        "policy": [5],
        "calls": ["a", [call] * 256, [call] * 257, *([one] for one in calls)],
        "caller": [f" {spiffe}", f"{spiffe} "],
        "reason": [*codes, "a" * 64],
        "permission": [5],
        "journal": [[], journal, journal | {"n": 0}, journal | {"n": 2**53}, journal | {"sha256": shas[0]}, {"n": 1}],
        "more": [1],
    }
    values |= dict.fromkeys(("answer", "request", "code"), shas) | {"txn": [*ids, "T9"]}
    for name in ("id", "txn", "began", "iat", "token", "answer", "status", "verdict", "operation", "resources"):
        values[name] = [None, *values[name]]
    said = [{name: value} for name, some in values.items() for value in some]
    said += [{name: None} for name in ("policy", "calls")] + [{"verdict": "refused", "request": sha}]
    for members in said:
        (task := Task()).tool.said = members
        yield task.verified


def _sizes() -> Iterator[Callable[[], object]]:
    """Receipts as many and as large as they may be, and more."""
    task = Task()
    first, *rest = task.receipts()
    for many in (256, 257):
        yield partial(task.verified, task.answer([first, *rest, *[first] * (many - 4)]))
    yield partial(task.verified, task.answer([first, *rest, *["a.b.c"] * 253]))
    yield partial(task.verified, task.answer()[:-1] + b',"receipts":"a.b.c"}')  # a second one
    value = "~".join([first, *rest])
    for answer in f'{value}"}}', f'{{"receipts":"{value}x':  # without the name, and without the end
        yield partial(task.verified, answer.encode())
    for more in (0, 1):
        (large := Task()).tool.said = {"policy": "a" * (375_000 + 30_000 * more)}
        yield large.verified


def _flips() -> Iterator[Case]:
    """Another byte somewhere, always at the same places; and an index beyond the log."""
    task, chance = Task(), random.Random(34)  # noqa: S311 - to choose places
    answer, evidence = task.answer(), task.evidence()
    believed = _believed(task)
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
