"""Asks a system of any checkout for what it says, from outside, and compares two such recordings.

start/run tests.proof.driver record FILE [--checkout DIR] [--no-demo]
start/run tests.proof.driver compare OLD NEW [--wording-only]

`system.json.gz` is what the system of c12c447f said.  A checkout needs packages (`make .venv/ready`), and its ports.
Run the driver of the commit that made a recording, from a checkout of its own, for what it asks with is part of the
project: only `start.py` runs in the checkout under test.  No token, key or password gets into a recording.
"""

import argparse
import asyncio
import base64
import difflib
import gzip
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import httpx

from demo.intruder import Intruder, Source, User
from start.system import EVERYTHING, ask_insider, insider_svid
from testkit.browser import sign_in
from tests.proof import asked
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.snapshot_files import build_snapshot, load_registry
from zerotrust.issuer.discovery import Metadata, discover
from zerotrust.receipts.carried import parse_answer
from zerotrust.receipts.receipt import digest_of
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe.svid import Svid
from zt.people.client import user_client
from zt.people.login import Login, issuer_http

HERE = Path(__file__).parents[2]
NONE = "f" * 32
MCP = "2026-07-28"
"""A revision, and no date of a run."""
RANDOM = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(MCP), "<MCP>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\bDRAFT-[0-9a-f]{8}\b"), "DRAFT-<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?"), "<time>"),
    (re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b"), "<date>"),
    (re.compile(r"\b(?:\d\d-\d\d )?[0-2]\d:[0-5]\d(?::\d\d)?Z?"), "<time>"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d{4,5}\b"), r"\1:<port>"),
    (re.compile(r"\beyJ[\w-]+\.[\w.~-]+"), "<jws>"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{12})\b"), "<hex>"),
    (re.compile(r"\b[0-9a-f]{8}(?=…)"), "<hex>"),
    (re.compile(r"(?<=state=)[\w-]+|(?<=code_challenge=)[\w-]+"), "<base64>"),
    (re.compile(r"(?<![\w/+-])(?=[\w/+-]*[\d_-])(?=[\w/+-]*[A-Z])(?=[\w/+-]*[a-z])[\w/+-]{20,}={0,2}"), "<base64>"),
    (re.compile(r"<base64>(\n<base64>)+"), "<base64>"),
    (re.compile(r"\b\w{6}:<id>"), "<jti>"),
    (re.compile(r"\bchatcmpl-[0-9a-f]+"), "<id>"),
    (re.compile(r"(?<=127\.0\.0\.1%3A)\d+"), "<port>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s|seconds?|µs)\b"), "<seconds>"),
    (re.compile(r"\b\d{10,}\b|(?m:^\d+$)"), "<number>"),
)
COUNT = re.compile(r"(?<![\w<-])(?!(?:200|40[0-8]|41[35]|42[19]|50[03])\b)\d+(?![\w-])")
"""A number in a text that is no HTTP status."""
FACT = re.compile(
    r"[✓✗]|\b[1-5]\d\d [a-z_]+\b|\b[a-z]+(?:_[a-z]+)+\b|\b(?:agent|tool|authority)/\w+|\b(?:GET|POST) /?[\w/]+"
    r"|\b(?:task\.run|reasoning\.plan|agent\.invoke|(?:tool|document|model|inference|llama|registry|policy)\.\w+)\b|\bT\d\w?\b"
)
"""What has to stay in a text whose wording may change."""
ENDS_WITH_RUN = {"date", "content-length", "etag", "last-modified", "set-cookie"}


def plain(value: Any, path: str = "") -> Any:
    """Return a JSON value without what differs between two runs."""
    if isinstance(value, dict):
        return {plain(key): plain(one, f"{path}.{key}") for key, one in sorted(value.items())}
    if isinstance(value, list):
        told = path.endswith(".events") and all(isinstance(one, dict) for one in value)
        return kinds(value) if told else [plain(one, path) for one in value]
    if isinstance(value, str):
        if value.startswith("{"):  # JSON within JSON
            with suppress(ValueError):
                return plain(json.loads(value), path)
        for pattern, name in RANDOM:
            value = pattern.sub(name, value)
        value = " ".join(sorted(value.split())) if path.endswith(".scope") else value  # a set, in the order of chance
        return COUNT.sub("<number>", value) if " " in value else value
    if isinstance(value, float) or (isinstance(value, int) and value > 1 and not isinstance(value, bool)):
        return "<number>" if not path.endswith(("status", "code", "version", "number", "active")) else value
    return value


def kinds(records: Iterable[dict[str, Any]]) -> list[str]:
    """Return the kinds of records, each once: the type, what was decided why, and the names of the members."""
    found = set()
    for record in records:
        data = record.get("data", {})
        told = [data.get("type"), data.get("operation"), data.get("permission"), data.get("decision", {}).get("reason")]
        found.add(" ".join([*(plain(one) for one in told if one), "|", *sorted(set(_names(record)))]))
    return sorted(found)


def answer(got: httpx.Response) -> dict[str, Any]:
    """Return what an answer says: status, headers and body, without what differs between two runs."""
    text = got.text.replace(got.request.url.host, "<host>") if got.request.url.host == "127.0.0.1" else got.text
    try:
        body = plain(json.loads(text))
    except ValueError:
        body = [plain(_json(line)) for line in text.splitlines()]
    told = {name: plain(value) for name, value in sorted(got.headers.items()) if name not in ENDS_WITH_RUN}
    return {"status": got.status_code, "headers": told, "body": body}


def _json(line: str) -> Any:
    begin, _, rest = line.partition("{")
    try:
        return {begin: json.loads(f"{{{rest}")} if rest else line
    except ValueError:
        return line


class Outside:
    """A running system as `demo.intruder` needs it, known only by its addresses and by what `start.py` printed."""

    def __init__(self, checkout: Path, folder: Path, about: dict[str, Any], metadata: Metadata) -> None:
        self.checkout, self.folder, self.ca_file, self._about = checkout, folder, Path(about["ca"]), about
        self.issuer, self.metadata, self.keycloak = about["issuer"], metadata, self
        self.tls = ssl.create_default_context(cafile=about["ca"])

    @cached_property
    def registry(self) -> Registry:
        return load_registry(HERE / "registry.yaml")

    @cached_property
    def directory(self) -> Directory:
        deployment = load_deployment(HERE / "start/local.yaml", self.registry)
        return build_snapshot(deployment, self.registry, approved={}).directory()

    def address(self, name: str) -> str:
        return self.registry.address(name)

    def user(self) -> httpx.AsyncClient:
        return user_client(self.directory, self.ca_file)

    async def sign_in(self, user: str, scope: str = EVERYTHING, client: str = "walkthrough") -> Login:
        return await sign_in(self.issuer, client, user, self._about["passwords"][user], scope, verify=self.tls)

    def _socket(self, name: str) -> Path:
        return self.folder / "insiders" / f"{name.replace('/', '-')}.sock"

    async def svid(self, name: str) -> Svid:
        return await insider_svid(self._socket(name))

    async def assertion(self, name: str) -> str:
        return str((await ask_insider(self._socket(name), self.issuer))["jwt_svid"])

    def zt(self, words: str, token: str) -> dict[str, Any]:
        """Run a command of `zt`, as olga if it signs in; return status, output and errors."""
        olga = self.folder / "olga.json"
        olga.touch(mode=0o600)
        olga.write_text(
            json.dumps({"user": "olga", "password": self._about["passwords"]["olga"], "ca": str(self.ca_file)})
        )
        env = {**os.environ, "ZT_USER": "olga", "ZT_CA": str(self.ca_file), "ZT_JOURNALS": str(self.folder / "data")}
        env |= {"COLUMNS": "200", "BROWSER": f"{HERE}/start/run testkit.browser {olga} %s"}
        command = [str(self.checkout / ".venv/bin/zt"), *words.split()]
        done = subprocess.run(command, env=env, input=token, capture_output=True, text=True, check=False)  # noqa: S603
        olga.unlink()
        out, errors = (self._lines(said) for said in (done.stdout, done.stderr))
        return {"status": done.returncode, "out": out, "errors": errors}

    def _lines(self, said: str) -> Any:
        said = said.replace(str(self.folder), "<run>").replace(str(self.checkout), "<checkout>")
        try:
            return plain(json.loads(said))
        except ValueError:
            if said.startswith('{"checkpoint"'):  # an export
                return kinds((one := json.loads(line)).get("event", one) for line in said.splitlines())
            lines = (plain(_json(line) if line.startswith("{") else line) for line in said.splitlines())
            told = [" ".join(re.sub("─+", "─", line).split()) if isinstance(line, str) else line for line in lines]
            return [one for one, last in zip(told, [None, *told], strict=False) if not one == last == "<base64>"]


@asynccontextmanager
async def started(checkout: Path) -> AsyncIterator[Outside]:
    """Start the system of a checkout, and end it after the block."""
    folder = checkout / "run" / "proof"
    command = [f"{checkout}/.venv/bin/python", "-I", "-B", "-X", "pycache_prefix=/dev/null"]
    shim = Path(__file__).with_name("start.py")
    process = await asyncio.create_subprocess_exec(
        *command, shim, checkout, folder, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    try:
        about = json.loads(await process.stdout.readline())
        async with issuer_http(ssl.create_default_context(cafile=about["ca"])) as http:
            metadata = await discover(about["issuer"], http)
        yield Outside(checkout, folder, about, metadata)
    finally:
        process.stdin.close()
        await process.wait()


async def answers(system: Outside, told: dict[str, Any], files: Path) -> str:
    """Make all requests; keep an answer with receipts and its proof in `files`.  Return alice's token."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(cast("Any", system), stack)
        alice = User("alice", intruder)
        tokens: dict[str, Source] = {name: User(name, intruder).t0 for name in ("bob", "dana", "eve", "olga")}
        for name, client, scope in (("registry", "zt", "registry.admin"), ("policy", "zt-policy", "policy.admin")):
            tokens[name] = _operator(system, client, scope)
        lists = asked.AT_THE_FRONT, asked.HEALTH, asked.AMONG_PARTIES, asked.OF_OPERATORS
        for name, who, to, method, path, token, more in (one for several in lists for one in several):
            source = token and (tokens.get(token) or getattr(alice, token))
            got = await repeated(partial(alice.send, who, to, path, source or None, method=method, **more))
            told[f"http: {name}"] = answer(got) if got else "no connection"
            if name == "a task" and got:
                (files / "answer.json").write_bytes(got.content)
                (files / "request.json").write_bytes(got.request.content)
        found = parse_answer((files / "answer.json").read_bytes())
        assert found
        at = f"/receipts/{digest_of(found.receipts[0])}"
        got = await repeated(partial(alice.send, None, asked.FRONT, at, alice.t0, method="GET"), 404, 503)
        assert got
        (files / "answer.json.proof").write_bytes(got.content)
        told["http: a proof"] = answer(got)
        for name, who, token, audience, scopes in asked.EXCHANGES:
            made = await intruder.exchange(who, await getattr(alice, token)(), audience, scopes)
            told[f"exchange: {name}"] = answer(made)
        told["feed"] = await feed(await intruder.client(asked.FRONT), system.address(asked.REGISTRY))
        return await alice.t0()


async def repeated(send: Callable[[], Awaitable[httpx.Response]], *unready: int) -> httpx.Response | None:
    """Return the answer; None without a connection.  As in the walkthrough, what cannot tell yet is asked again."""
    for _ in range(30):
        try:
            got = await send()
        except (httpx.NetworkError, httpx.ProtocolError):
            return None
        if got.status_code not in (unready or (429, 503)):
            break
        await asyncio.sleep(1)
    return got


def _operator(system: Outside, client: str, scope: str) -> Source:
    async def token() -> str:
        return (await system.sign_in("olga", scope, client)).access_token

    return token


async def feed(http: httpx.AsyncClient, registry: str) -> list[Any]:
    """Return the kinds of lines with which a feed begins, each with the names of its members."""
    kinds: dict[str, Any] = {}
    async with asyncio.timeout(20), http.stream("GET", f"{registry}/feed") as got:
        async for line in got.aiter_lines():
            head, body = (json.loads(_decoded(part)) for part in line.split(".")[:2])
            kinds[head["typ"]] = [sorted(head), sorted(body)]
            if head["typ"].startswith("heartbeat"):
                break
    return [got.status_code, sorted(got.headers), kinds]


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def commands(system: Outside, told: dict[str, Any], files: Path, token: str) -> None:
    """Run all commands of `zt`, with and without `--json`."""
    task = json.loads((files / "answer.json").read_bytes())
    claims = json.loads(_decoded(token.split(".")[1]))
    (files / "altered.json").write_bytes((files / "answer.json").read_bytes().replace(b"incident", b"accident"))
    (files / "altered.json.proof").write_bytes((files / "answer.json.proof").read_bytes())
    log = system.folder / "data/authority-audit/log"
    words: dict[str, object] = {"trace": task["result"]["trace_id"], "txn": claims["jti"], "none": NONE, "log": log}
    words |= {name: files / name for name in ("absent", "export", "changed")}
    words |= {"answer": files / "answer.json", "request": files / "request.json", "altered": files / "altered.json"}
    words["policies"] = files / "policies"
    changed = {path.name: path.read_text() for path in (system.checkout / "policies").iterdir() if path.is_file()}
    (files / "policies").mkdir()
    for name, text in changed.items():
        (files / "policies" / name).write_text(f"{text}\n// changed\n" if name.endswith(".cedar") else text)
    policy = f"--policy {system.folder / 'audit.policy'}"
    exported = b""
    for _ in range(30):  # until the log has records of everybody
        (files / "export").unlink(missing_ok=True)
        system.zt(f"audit export --log {log} --to {files / 'export'}", "")
        exported = (files / "export").read_bytes()
        if all(f'/{path.name.replace("-", "/")}"'.encode() in exported for path in system.folder.glob("data/*")):
            break
        time.sleep(1)
    (files / "changed").write_bytes(
        re.sub(rb'(reason":")granted("[^\n]*POST /tasks)', rb"\1Granted\2", exported, count=1)
    )
    for command in (*asked.OFFLINE.split("|"), *asked.ONLINE.split("|")):
        trusts = command.startswith(("audit verify {", "receipt verify")) or "--export" in command
        filled = command.format(**words) + (f" {policy}" if trusts else "")
        filled += f" --ca {system.ca_file}" if command.startswith("receipt verify") else ""
        for json_too in ("", " --json"):
            told[f"zt {command}{json_too}"] = found = system.zt(filled + json_too, token)
            if command == "token show" and not json_too:  # the order of scopes is chance
                found["out"] = sorted(" ".join(found["out"]).split())


def journals(system: Outside) -> Iterator[tuple[str, Any]]:
    """Yield the kinds of records of each party."""
    for journal in sorted(system.folder.glob("data/*/journal.jsonl")):
        lines = journal.read_text().splitlines()
        yield f"journal of {journal.parent.name}", kinds(json.loads(line)["event"] for line in lines)


def _names(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _names(one, f"{path}.{'<party>' if key.startswith('spiffe:') else plain(key)}")
    else:
        yield path


def demo(checkout: Path) -> list[str]:
    """Return what `make demo` prints at 80 columns, from its first heading on."""
    env = {**os.environ, "COLUMNS": "80"}
    command = ["make", "--no-print-directory", "-C", str(checkout), "demo"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    lines = [" ".join(plain(re.sub(r"^ *\d+\.\d s |─{2,}", "", line)).split()) for line in done.stdout.splitlines()]
    begin = next((at for at, line in enumerate(done.stdout.splitlines()) if re.match("─+ [A-Z]", line)), 0)
    return [*(line for line in lines[begin:] if line and "so far" not in line), f"status {done.returncode}"]


async def record(checkout: Path, *, walkthrough: bool) -> dict[str, Any]:
    """Return all that the system of a checkout says."""
    told: dict[str, Any] = {"make demo": demo(checkout)} if walkthrough else {}
    async with started(checkout) as system:
        files = system.folder / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        token = await answers(system, told, files)
        await asyncio.to_thread(commands, system, told, files, token)
        told |= journals(system)
    return told


def flat(value: Any, path: str, *, facts: bool) -> Iterator[tuple[str, str]]:
    """Yield each member of a recording with its place; with `facts`, of free texts only what may not change."""
    if isinstance(value, dict):
        for key, one in sorted(value.items()):
            yield from flat(one, f"{path} > {key}", facts=facts)
        yield path, f"members {sorted(value)}"
    elif isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        if facts and path.endswith(" > errors"):
            value = []  # of an error, the reason is told with `--json`
        elif facts and path.endswith((" > out", "make demo")):
            value = FACT.findall(" ".join(value))
        yield from ((path, one) for one in value)
    elif isinstance(value, list):
        for one in value:
            yield from flat(one, f"{path} > []", facts=facts)
        yield path, f"{len(value)} members"
    else:
        free = facts and isinstance(value, str) and " " in FACT.sub("", value).strip() and "> headers >" not in path
        yield path, "a text" if free else json.dumps(value, ensure_ascii=False)


def differences(old: dict[str, Any], new: dict[str, Any], *, facts: bool) -> Iterator[str]:
    """Yield each difference of two recordings in one line."""
    for name in sorted(old.keys() | new.keys()):
        sides = [[*(f"{at}: {said}" for at, said in flat(one.get(name), name, facts=facts))] for one in (old, new)]
        for line in difflib.unified_diff(sides[0], sides[1], n=0, lineterm=""):
            if line[0] in "+-" and line[:3] not in {"+++", "---"}:
                yield line.replace("\n", "\\n")


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(prog="tests.proof.driver")
    commands = parser.add_subparsers(dest="what", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("file", type=Path)
    recording.add_argument("--checkout", type=Path, default=HERE)
    recording.add_argument("--no-demo", action="store_true")
    comparing = commands.add_parser("compare")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--wording-only", action="store_true", help="ignore the wording of texts")
    given = parser.parse_args()
    if given.what == "record":
        told = asyncio.run(record(given.checkout.absolute(), walkthrough=not given.no_demo))
        given.file.write_bytes(gzip.compress(json.dumps(told, indent=0, ensure_ascii=False).encode(), mtime=0))
        return
    old, new = (json.loads(gzip.decompress(file.read_bytes())) for file in (given.old, given.new))
    found = [*differences(old, new, facts=given.wording_only)]
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
