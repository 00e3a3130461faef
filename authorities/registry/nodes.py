"""Keeps the reports of the verifiers, each about its own node: which parties run there, and which of them have drifted.

No verifier's word replaces another's.  While others report, the parties of a node that is silent are refused, because
no other verifier sees their drift.  When all are silent, nothing is fresh, and every party refuses everything.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authorities.registry.reasons import RegistryReason
from authorities.registry.state import State
from zerotrust.decision import Denied
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import LONGEST_X509_SVID, Peer

MOST_NODES = 1000
"""Nodes with parties.  Each report looks at all of them, and each node reports every second: with 1,000, a look takes
less than a millisecond."""


@dataclass(frozen=True, slots=True)
class _Report:
    drifted: Mapping[str, str]
    at: float


def node_of(peer: Peer, registry: Registry) -> str:
    """Return the node of a verifier, by its certificate: `NODE.` before the DNS name of attestation.

    Raises `Denied` unless there is exactly one.
    """
    suffix = f".{registry.dns_name(registry.authorities.attestation)}"
    nodes = [name.removesuffix(suffix) for name in peer.dns_names if name.endswith(suffix)]
    if len(nodes) != 1:  # control: node-from-certificate
        raise Denied(RegistryReason.NODE_REFUSED, f"its certificate names {len(nodes)} nodes, as NODE{suffix}")
    return nodes[0]


class Nodes:
    """The last report of each node.  Which parties it has is on the disk, so that a restart forgets no silent node."""

    def __init__(self, kept: State, runs: Callable[[str], bool]) -> None:
        self._kept, self._runs = kept, runs  # whether a party follows the registry's feed now
        self._reports: dict[str, _Report] = {}
        self._left_out: dict[str, float] = {}
        """The parties that run, and that their nodes no longer report, each since when."""
        self._heard = self._began = -math.inf
        self._in_run: set[str] = set()
        """The nodes that were heard since `_began`.  Then the first report came, or the first after a silence of all:
        so that nobody is silent because the registry was."""
        self._silent: set[str] = set()

    async def take(self, node: str, parties: Mapping[str, str], age: float, bound: float) -> None:
        """Take a report: each party that runs at the node, with the files that differ, or "".

        `age`: of the report, in seconds; after `bound` seconds, a node is silent.  Raises `Denied` for a node too many.
        """
        if parties and node not in self._kept.nodes and len(self._kept.nodes) >= MOST_NODES:
            raise Denied(RegistryReason.NODE_REFUSED, f"there are {MOST_NODES} nodes with parties already")
        now, before = time.monotonic(), self._reports.pop(node, None)
        parties = self._with_left_out(node, parties, before, now)  # control: left-out-kept
        await self._kept.note_parties(node, parties)
        if now - self._heard > bound:
            self._began, self._in_run = now, set()
        self._heard = now
        if parties:
            drifted = {name: files for name, files in parties.items() if files}
            self._reports[node] = _Report(drifted, max(now - age, before.at if before else -math.inf))
            self._in_run.add(node)
        oldest = now - bound
        self._silent = {node for node in self._kept.nodes if max(self._at(node), self._began) < oldest}

    def _with_left_out(
        self, node: str, parties: Mapping[str, str], before: _Report | None, now: float
    ) -> dict[str, str]:
        """Return the parties with those that run, and that no verifier reports any more, as they were before."""
        elsewhere = {name for other, names in self._kept.nodes.items() if other != node for name in names}
        missing = self._kept.nodes.get(node, frozenset()) - parties.keys() - elsewhere
        left_out = {name: before.drifted.get(name, "") if before else "" for name in missing if self._runs(name)}
        since = {name: self._left_out.get(name, now) for name in left_out}
        self._left_out = {name: at for name, at in self._left_out.items() if name not in {*parties, *missing}} | since
        return {**parties, **left_out}

    def _at(self, node: str) -> float:
        return self._reports[node].at if node in self._reports else -math.inf

    def drifted(self) -> dict[str, str]:
        """The parties that have drifted at any node, each with the files that differ; without the silent nodes."""
        found: dict[str, str] = {}
        for node in self._reports.keys() - self._silent:  # control: drift-of-all-nodes
            for name, files in self._reports[node].drifted.items():
                found[name] = f"{found[name]}; {files}" if name in found else files
        return found

    @property
    def silent(self) -> dict[str, str]:
        """The parties that no verifier watches, each with the reason."""
        why = "no report of node {}, or its clock is behind"
        found = {name: why.format(node) for node in self._silent for name in self._kept.nodes.get(node, ())}
        long_ago = time.monotonic() - LONGEST_X509_SVID  # by then, a party that is as approved has been examined again
        return found | {name: "it runs, and no node reports it" for name, at in self._left_out.items() if at < long_ago}

    @property
    def awaited(self) -> set[str]:
        """The parties of nodes that were not heard since the first report, or the first after a silence of all."""
        return {name for node, names in self._kept.nodes.items() if node not in self._in_run for name in names}

    async def forget(self, name: str) -> list[str]:
        """Forget that a party runs at silent nodes, which may be gone for good.  Return these nodes."""
        nodes = [node for node in self._silent if name in self._kept.nodes.get(node, ())]
        for node in nodes:
            await self._kept.note_parties(node, self._kept.nodes[node] - {name})
        return nodes
