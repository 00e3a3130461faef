"""Programs of other projects read a log of ours: Tessera's fsck its files, and litewitness its checkpoints."""

import asyncio
import base64
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from authorities.audit.cosigning import Cosigners
from authorities.audit.ledger import WITNESSES
from authorities.audit.log import Log as Ledger
from authorities.audit.others import Other
from authorities.registry.witness import Witness, add_witness_routes
from lab.conformance.gos import installed
from lab.conformance.outcome import Outcome
from lab.conformance.own_log import ORIGIN, Log, emptied
from lab.conformance.running import Failed, run
from lab.conformance.serving import HOST, free_port, served
from lab.conformance.ssh_witness import NAME, until, witness
from local.llama_stack import end
from zerotrust.audit.note_key import new_key
from zerotrust.tlog.checkpoint import Checkpoint, signed
from zerotrust.tlog.note import ED25519, Note, VerifierKey, parsed, signatures
from zerotrust.tlog.proof import Proof
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tiles import reader, restored
from zerotrust.tlog.tree import EMPTY, InvalidLog, inclusion_proof
from zerotrust.tlog.witness import Request
from zt.evidence import verified

FSCK, WITNESS = "1.0.4", "0.6.1"
ENTRIES, LATER = 600, 200
SOUND = "Successfully fsck'd log with size"
WITHIN = 60
"""Seconds in which fsck ends with a sound log; with another one it may wait for ever."""


async def fsck(home: Path) -> Outcome:
    """Have Tessera's fsck read a sound log, and then a changed one.  Raises `Missing` and `Failed`."""
    program = await installed(home, f"github.com/transparency-dev/tessera/cmd/fsck@v{FSCK}")
    log = Log(emptied(home / "log"), entries(0, ENTRIES))
    (key := home / "log.vkey").write_text(str(log.key))
    results = {"a sound log": await _read(program, log.folder, key)}
    log.grow(entries(ENTRIES, LATER))
    results["a log that has grown"] = await _read(program, log.folder, key)
    bundle = log.folder / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"entry 300", b"entry 3oo"))
    results["one entry changed"] = await _read(program, log.folder, key)
    return Outcome("Tessera fsck", FSCK).expect(
        results,
        {
            "a sound log": f"{SOUND} {ENTRIES}",
            "a log that has grown": f"{SOUND} {ENTRIES + LATER}",
            "one entry changed": "^(?!.*Successfully).*tile/0/001",
        },
    )


async def ledger(home: Path, running: Path, demanded: str) -> Outcome:
    """Have fsck read the log of the running ledger, and litewitness cosign it, and another of its code.

    `running`: the folder of its log; `demanded`: the policy of the registry.  Raises `Missing` and `Failed`.
    """
    checker = await installed(home, f"github.com/transparency-dev/tessera/cmd/fsck@v{FSCK}")
    signer = await installed(home, f"filippo.io/torchwood/cmd/litewitness@v{WITNESS}")
    copy, key, believed = emptied(home / "running"), home / "running.vkey", policy(demanded)
    checkpoint, _ = believed.check(parsed(_copied(running, copy) or b""))
    key.write_text(str(believed.logs[0]))
    results = {"the running ledger": await _read(checker, copy, key)}
    results |= await _cosigned_by(home, signer) | await _demanded_of(home, signer, running, demanded)
    return Outcome("ledger", f"{FSCK}, {WITNESS}").expect(
        results,
        {
            "the running ledger": f"{SOUND} {checkpoint.size}",
            "with litewitness": f"^registry and {NAME}$",
            "while litewitness is away": "^registry$",
            "when it is back": f"^registry and {NAME}$",
            "named while the ledger runs": "^lite and registry$",
        },
    )


async def _cosigned_by(home: Path, signer: Path) -> dict[str, str]:
    """Grow a log as the ledger does, and return who has cosigned it each time."""
    add_witness_routes(app := FastAPI(), Witness(emptied(home / "registry"), "registry", ORIGIN))
    own, folder, found = (
        new_key(emptied(home / "ledger") / "log.key", ORIGIN, ED25519),
        home / "ledger",
        dict[str, str](),
    )
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app)) as inside,
        httpx.AsyncClient() as outside,
        witness(signer, emptied(home / "witness"), own.public) as (there, key),
    ):
        away = f"http://{HOST}:{free_port()}"
        for name, at in (("with litewitness", there), ("while litewitness is away", away), ("when it is back", there)):
            others = partial(tuple[Other, ...], (Other(at, key),))
            cosigners = Cosigners("http://registry", http=inside, others=others, others_http=outside)
            log = await Ledger.open(folder, ORIGIN, cosigners)
            await log.finish()
            await log.add(entries(log.size, 300), {})
            assert log.note  # noqa: S101 - it is published
            found[name] = " and ".join(one.name for one in log.note.signatures[1:])
            await log.close()
    return found


async def _demanded_of(home: Path, signer: Path, running: Path, demanded: str) -> dict[str, str]:
    """Name litewitness to the running ledger, as docs/reference/audit-log.md says, and have both demanded.

    Return who has signed.  Nothing is asked of the system: it records something within a minute.
    """
    named = running.parent / WITNESSES
    async with witness(signer, emptied(home / "beside"), policy(demanded).logs[0]) as (there, key):
        named.write_text(f"witness lite {key} {there}\nquorum none\n")
        before, quorum = (
            demanded.splitlines()[:-1],
            [f"witness lite {key}", "group both all registry lite", "quorum both"],
        )
        both = policy("\n".join([*before, *quorum]))
        copy = emptied(home / "cosigned-by-both")
        await until(lambda: _copied(running, copy, both), f"{NAME} beside the registry", seconds=120)
        named.unlink()
        found = verified(copy, both, after=0, held={}, local=None)
    return {"named while the ledger runs": " and ".join(sorted(found.cosigned))}


def _copied(log: Path, to: Path, demanded: TrustPolicy | None = None) -> bytes | None:
    """Copy a log that grows, and return its checkpoint; nothing, if that is not what a policy demands."""
    note = (log / "checkpoint").read_bytes()  # before the tiles
    if demanded:
        try:
            demanded.check(parsed(note))
        except InvalidLog:
            return None
    shutil.copytree(log, to, dirs_exist_ok=True)
    (to / "checkpoint").write_bytes(note)
    return note


def entries(first: int, count: int) -> list[bytes]:
    """Return entries, each with its number."""
    return [b"entry %d of the log" % number for number in range(first, first + count)]


async def tessera(home: Path) -> Outcome:
    """Have Tessera write a log and litewitness cosign it, and read it with the library.  Raises as the others."""
    writer = await installed(home, f"github.com/transparency-dev/tessera/cmd/examples/posix-oneshot@v{FSCK}")
    signer = await installed(home, f"filippo.io/torchwood/cmd/litewitness@v{WITNESS}")
    folder, seed = emptied(home / "foreign"), Ed25519PrivateKey.generate()
    key = VerifierKey(ORIGIN, ED25519, seed.public_key().public_bytes_raw())
    private = base64.b64encode(bytes([ED25519]) + seed.private_bytes_raw()).decode()
    for number, entry in enumerate(entries(0, ENTRIES)):
        (emptied(home / "entries") if not number else home / "entries").joinpath(f"{number:04}").write_bytes(entry)
    _, said = await run(
        *(writer, "-storage_dir", folder, "-entries", f"{home}/entries/*"),
        env={"LOG_PRIVATE_KEY": f"PRIVATE+KEY+{ORIGIN}+{key.key_id.hex()}+{private}"},
    )
    if not (folder / "checkpoint").exists():
        raise Failed(f"Tessera has not written a log: {said[-300:]}")
    own = parsed((folder / "checkpoint").read_bytes())
    async with witness(signer, emptied(home / "witness"), key) as (url, cosigner), httpx.AsyncClient() as http:
        answer = await http.post(f"{url}/add-checkpoint", content=str(Request(0, (), own)).encode())
    note, demanded = Note(own.text, own.signatures + signatures(answer.text)), _demanding(key, cosigner)
    (folder / "checkpoint").write_text(str(note))
    (folder / "policy").write_text(demanded)
    read = lambda path: (folder / path).read_bytes()  # noqa: E731
    checkpoint, _ = policy(demanded).check(note)
    results = {
        "its checkpoint": str(checkpoint.size),
        "its tiles": str(restored(read, checkpoint.size).root == checkpoint.root),
    }
    return Outcome("Tessera", FSCK).expect(results, {"its checkpoint": f"^{ENTRIES}$", "its tiles": "^True$"})


async def litewitness(home: Path) -> Outcome:
    """Have litewitness cosign a log, its later state, and no fork of it.  Raises `Missing` and `Failed`."""
    program = await installed(home, f"filippo.io/torchwood/cmd/litewitness@v{WITNESS}")
    log = Log(emptied(home / "cosigned"), entries(0, ENTRIES))
    async with witness(program, emptied(home / "witness"), log.key) as (url, key), httpx.AsyncClient() as http:

        async def send(request: Request) -> httpx.Response:
            return await http.post(f"{url}/add-checkpoint", content=str(request).encode())

        results = {"the first checkpoint": _cosigned(log, key, await send(log.asking(0)))}
        log.grow(entries(ENTRIES, LATER))
        stale, grew = await send(log.asking(0)), await send(log.asking(ENTRIES))
        results["a stale size"] = f"{stale.status_code} {stale.text.strip()}"
        results["a log that has grown"] = _cosigned(log, key, grew)
        fork = Log(emptied(home / "fork"), [b"fork", *entries(1, ENTRIES + LATER - 1)])
        fork.key, fork.signer = log.key, log.signer
        results["a fork"] = str((await send(fork.asking(ENTRIES + LATER))).status_code)
        shorter = Request(ENTRIES + LATER, (), signed(Checkpoint(log.key.name, 0, EMPTY), log.key, log.signer))
        results["a log that shrinks"] = str((await send(shorter)).status_code)
    return Outcome("litewitness", WITNESS).expect(
        results,
        {
            "the first checkpoint": f"^cosigned {ENTRIES}$",
            "a stale size": f"^409 {ENTRIES}$",
            "a log that has grown": f"^cosigned {ENTRIES + LATER}$",
            "a fork": "^422$",
            "a log that shrinks": "^400$",
        },
    )


def _cosigned(log: Log, key: VerifierKey, answer: httpx.Response) -> str:
    """Publish what the witness has cosigned, with a policy that demands it.  Return how much, or the refusal."""
    if not answer.is_success:
        return f"{answer.status_code} {answer.text}"
    note = Note(log.note().text, log.note().signatures + signatures(answer.text))
    demanded = _demanding(log.key, key)
    checkpoint, _ = policy(demanded).check(note)
    log.publish(note)
    (log.folder / "policy").write_text(demanded)
    node, last = reader(log.files.__getitem__, log.edge.size), log.edge.size - 1
    proof = Proof(last, tuple(inclusion_proof(last, log.edge.size, node)), note)
    proof.check(log.entries[last], policy(demanded))
    (log.folder / "last.tlog-proof").write_text(str(proof))
    return f"cosigned {checkpoint.size}"


def _demanding(log: VerifierKey, key: VerifierKey) -> str:
    """Return the policy that demands this witness."""
    return f"log {log}\nwitness lite {key}\nquorum lite\n"


async def _read(program: Path, log: Path, key: Path) -> str:
    """Return what fsck prints of a log; its exit status is 0 in any case, and it may not end."""
    async with served(StaticFiles(directory=log)) as url:
        process = await asyncio.create_subprocess_exec(
            *(program, "-ui=false", "-N", "8", "-storage_url", f"{url}/", "-public_key", key),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = b""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WITHIN):
                    said, _ = await process.communicate()
        finally:
            await end(process)
    return said.decode(errors="replace")
