"""The registry as the witness of the audit log (c2sp.org/tlog-witness): the ledger's compare-and-swap outside its data.

It keeps the last checkpoint that it signed, and signs only its continuation.  So a ledger that was restored from a
backup, or that runs twice, gets no second history signed.  The log's key is pinned with the first checkpoint.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response

from zerotrust.authority.ledger.cosignature import KEY_HEADER, SIZE, NotCosigned, check_request, parse_request
from zerotrust.authority.ledger.note_key import NoteKey, NoteKeyError, load_key, new_key
from zerotrust.durable import sync_folder, write_file
from zerotrust.shielded import Shielding, shielded
from zerotrust.tlog.checkpoint import Checkpoint, check_signed, cosign_checkpoint
from zerotrust.tlog.note import COSIGNATURE, ED25519, Note, Signature, VerifierKey, parse_note, parse_verifier_key
from zerotrust.tlog.tree import InvalidLog

PATH, POLICY_PATH = "/add-checkpoint", "/audit-policy"
_BEGUN = b"no checkpoint yet\n"
"""The kept file before the first checkpoint.  It is written before the key is made: a key without it has lost it."""

Kept = tuple[VerifierKey, Checkpoint]


class Witness(Shielding):
    """Cosigns the checkpoints of one log."""

    def __init__(self, folder: Path, name: str, origin: str, *, clock: Callable[[], float] = time.time) -> None:
        """`name`: of this witness; `origin`: of the log; `clock`: seconds since the epoch."""
        super().__init__()
        self._key_file, self._kept_file = folder / "witness.key", folder / "witness.checkpoint"
        self._name, self._origin, self._clock = name, origin, clock
        self._turn = asyncio.Lock()
        self._policy: str | None = None

    @shielded
    async def cosign(self, raw: bytes, vkey: str | None) -> Signature:
        """Return the cosignature of a checkpoint when it is kept.  `vkey`: the log's key, as the ledger says it.

        Raises `NotCosigned`; and `OSError` or `InvalidLog` if what was kept cannot be read or written.
        """
        async with self._turn:
            return await asyncio.to_thread(self._cosign, raw, vkey)

    async def policy(self) -> str | None:
        """Return the policy (c2sp.org/tlog-policy) that demands this witness; None before the first checkpoint."""
        if self._policy is None:
            self._policy = await asyncio.to_thread(self._policy_text)
        return self._policy

    def _cosign(self, raw: bytes, vkey: str | None) -> Signature:
        asked, kept = parse_request(raw), self._read_kept()
        own = self._own_key(kept)
        key = kept[0] if kept else self._first_key(vkey)  # control: log-key-pinned
        new = check_request(asked, {self._origin: key}, {self._origin: kept[1]} if kept else {})
        signature = Signature(key.name, key.key_id, next(asked.checkpoint.by(key)))
        write_file(self._kept_file, f"{key}\n{Note(new.text, (signature,))}".encode())
        sync_folder(self._kept_file.parent)
        return cosign_checkpoint(new.text, own.public, own.private, int(self._clock()))

    def _read_kept(self) -> Kept | None:
        """Return the log's key, and the checkpoint that was signed last; None before the first."""
        try:
            content = self._kept_file.read_bytes()
        except FileNotFoundError:
            self._check_no_key()
            return None
        if content == _BEGUN:
            return None
        vkey, _, note = content.partition(b"\n")
        key = parse_verifier_key(vkey.decode(errors="replace"))
        return key, check_signed(parse_note(note), key)

    def _first_key(self, vkey: str | None) -> VerifierKey:
        try:
            key = parse_verifier_key(vkey or "")
        except InvalidLog as error:
            raise NotCosigned(400, f"{KEY_HEADER}: {error}") from error
        if (key.name, key.kind) != (self._origin, ED25519):
            raise NotCosigned(403, f"{key.name} is not the log of this witness")
        return key

    def _check_no_key(self) -> None:
        """Raise `OSError` if there is a key: it may have signed a checkpoint that is not known any more."""
        if self._key_file.exists():
            raise NoteKeyError(
                f"{self._key_file} is here without {self._kept_file.name}: restore the newest one, because without it "
                "another history would be signed."
            )

    def _own_key(self, kept: Kept | None) -> NoteKey:
        if kept or self._key_file.exists():
            return load_key(self._key_file, self._name, COSIGNATURE)
        self._kept_file.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._kept_file, _BEGUN)
        sync_folder(self._kept_file.parent)
        return new_key(self._key_file, self._name, COSIGNATURE)

    def _policy_text(self) -> str | None:
        if not (kept := self._read_kept()):
            return None
        return f"log {kept[0]}\nwitness registry {self._own_key(kept).public}\nquorum registry\n"


def add_witness_routes(app: FastAPI, witness: Witness) -> None:
    """Add the route for the ledger, and the policy, which is public."""

    @app.post(PATH)
    async def add_checkpoint(asked: Request) -> Response:
        try:
            return _text(200, str(await witness.cosign(await asked.body(), asked.headers.get(KEY_HEADER))))
        except NotCosigned as refusal:
            if refusal.held is not None:
                return Response(f"{refusal.held}\n", refusal.status, media_type=SIZE)
            return _text(refusal.status, f"{refusal}\n")
        except (OSError, InvalidLog) as error:
            return _text(503, f"the registry cannot keep the checkpoint: {error}\n", {"retry-after": "1"})

    @app.get(POLICY_PATH)
    async def policy() -> Response:
        try:
            found = await witness.policy()
        except (OSError, InvalidLog):
            return _text(503, "the registry cannot read what it keeps\n", {"retry-after": "1"})
        return _text(200, found) if found else _text(404, "the registry knows no log yet\n", {"retry-after": "1"})


def _text(status: int, content: str, headers: dict[str, str] | None = None) -> Response:
    return Response(content, status, headers, media_type="text/plain")
