"""M. Another process of the same user; and what a stolen key of the trust domain would be worth."""

import asyncio
import json
import pickle
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509

from lab.without import Control
from tests.support.attack import Attempt, Scene, Target, Tries, attack
from tests.support.attack_cards import card_of, shown_card, signed_card
from tests.support.attack_wire import (
    as_server,
    asked_once,
    request,
    served,
    told_in_place_of_the_reader,
    with_certificate,
)
from tests.support.ca import LONG, the_ca
from tests.support.launched import PROJECT, bundle, locked, project
from tests.support.spy import ORDINARY, Spy
from zerotrust.authority.files.snapshot_files import load_registry

# The authority's own program, but that some controls are missing.
BOOTSTRAP = """
import pickle, sys
from authorities.attestation.process import closed
from lab.without import without
from tests.support import attestation_process
with without(*pickle.loads(bytes.fromhex(sys.argv.pop(1)))):
    closed.close_process()
    attestation_process.run()
"""

READER = "agent/reader"


async def spied(place: Path, missing: Sequence[Control]) -> bool:
    """Whether a process that opens the authority's memory finds one of its keys."""
    run_dir = place / "run"
    controls = pickle.dumps(missing).hex()
    program = [sys.executable, "-c", BOOTSTRAP, controls, "--root", str(place / "project"), "--run-dir", str(run_dir)]
    serving = await asyncio.create_subprocess_exec(*program, cwd=PROJECT, stdout=subprocess.PIPE, **ORDINARY)
    assert serving.stdout
    try:
        ready = json.loads(await asyncio.wait_for(serving.stdout.readline(), 60))
        async with Spy(str(run_dir)) as spy:
            await spy.has("opened" if missing else "refused")
            _, found = await spy.found(await keys(ready))
            return found
    finally:
        serving.kill()
        await serving.communicate()


async def keys(ready: dict[str, Any]) -> list[Any]:
    """The public halves of the authority's keys: the CA's, and that of JWT-SVIDs."""
    ca = Path(ready["ca"]).read_bytes()
    tls = ssl.create_default_context(cadata=ca.decode())
    entries = (await bundle(ready["bundle"], tls)).json()["keys"]
    [jwt_key] = [jwt.PyJWK(entry).key for entry in entries if entry["use"] == "jwt-svid"]
    return [x509.load_pem_x509_certificate(ca).public_key(), jwt_key]


@attack(130, Scene)
async def test_a_key_in_memory(scene: Scene) -> Tries:
    with project() as place:
        locked(load_registry(place / "project/registry.yaml"), place / "project")
        found = await spied(place, scene.missing)
    yield Attempt("a key" if found else "no key", found)


# What its key would be worth


TOO_LONG = LONG + 1


@attack(131)
async def test_a_certificate_of_a_long_life(target: Target) -> Tries:
    """At a door, in a party's place, and on a card: each names the right party, and is signed by the right key."""
    async with served(target, READER) as port:
        sent, caller = request(target, READER, target.token(READER)), "orchestrator"
        assert b" 200 " in await asked_once(port, READER, with_certificate(the_ca().svid(caller)), sent)
        answer = await asked_once(port, READER, with_certificate(the_ca().svid(caller, life=TOO_LONG)), sent)
        tried = Attempt(answer[9:12].decode() or "no connection", answer.startswith(b"HTTP/1.1 200 "))
        yield tried.stopped_by("certificate-lifetime")
    mine = the_ca().svid("orchestrator")
    assert await told_in_place_of_the_reader(target, as_server(the_ca().svid(READER)), mine)
    heard = await told_in_place_of_the_reader(target, as_server(the_ca().svid(READER, life=TOO_LONG)), mine)
    yield Attempt("told everything" if heard else "no connection", bool(heard)).stopped_by("certificate-lifetime")
    card = signed_card(card_of(target), the_ca().svid(READER, life=TOO_LONG))
    yield (await shown_card(target, card)).stopped_by("statement-certificate-lifetime")
