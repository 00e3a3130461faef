"""`make bench-compose`: measures what `docker compose up` costs, from nothing, and how soon a crash is over.

The containers have a project of their own; it is removed at the beginning and at the end, with its volumes.
"""

import asyncio
import contextlib
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx

from lab.bench.measure import TASK
from local.program import FOLDER, console, say, show
from local.start import running
from local.system import ROOT
from zerotrust.testing.stack import ATTESTATION, HEALTHY, Stack, StackError, until
from zerotrust.testing.users import User, http_client, signed_in

TASKS, WARM_UP = 20, 5
IDLE = 60
"""Seconds for which attestation's upkeep is watched: every party's certificate is renewed once."""
OF_OTHERS = "keycloak", "database"
"""What runs in these images is not ours."""
OF_DOCKER = "dockerd", "containerd", "containerd-shim"
"""Docker's own processes, as their names begin."""
PARTIES = ("registry", "orchestrator", "reader", "writer", "documents", "inference")


def up(stack: Stack) -> float:
    """Start what does not run; return the seconds until all are healthy."""
    began = time.monotonic()
    stack.run("up", "--wait", "--wait-timeout", str(HEALTHY))
    return time.monotonic() - began


def used(stack: Stack, *services: str) -> list[dict[str, Any]]:
    """Return what Docker knows of the resources that these containers, or all, have used."""
    running = {name: one for name, one in stack.containers().items() if one.status == "running"}
    return [cast("dict[str, Any]", running[name].stats(stream=False, one_shot=True)) for name in services or running]


def cpu_seconds(stack: Stack, *services: str) -> float:
    """Return the seconds of a core that the containers have used since their start."""
    return float(sum(one["cpu_stats"]["cpu_usage"]["total_usage"] for one in used(stack, *services))) / 1e9


def of_docker() -> float:
    """Return the seconds of a core that Docker itself has used, with what it has begun for health checks.

    0 if its processes are not on this machine (proc_pid_stat(5)).
    """
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
            if name.startswith(OF_DOCKER):
                ticks += sum(int(number) for number in fields.split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(stack: Stack) -> float:
    """Return the memory of all containers, without files that the kernel only caches."""
    memory = [one["memory_stats"] for one in used(stack)]
    cached = ("total_inactive_file", "inactive_file")  # control groups of version 1 and 2
    inactive = [next((one["stats"][name] for name in cached if name in one["stats"]), 0) for one in memory]
    return float(sum(one["usage"] for one in memory) - sum(inactive)) / 2**20


async def tasks(http: httpx.AsyncClient, orchestrator: str, token: str) -> float:
    """Return the median of the milliseconds that a task takes, one after the other.  Raises `httpx.HTTPStatusError`."""
    took, headers = [], {"authorization": f"Bearer {token}"}
    for _ in range(WARM_UP + TASKS):
        began = time.monotonic()
        answer = await http.post(f"{orchestrator}/tasks", json={"request": TASK}, headers=headers)
        took.append((time.monotonic() - began) * 1e3)
        answer.raise_for_status()
    return statistics.median(took[WARM_UP:])


def works(user: User) -> bool:
    """Return whether a task of this user succeeds."""
    try:
        answer = user.send("orchestrator", "/tasks", json={"request": TASK})
        return answer.status_code == 200 and answer.json()["result"]["event"] == "finished"
    except httpx.HTTPError:
        return False


def until_refused(stack: Stack, user: User) -> float:
    """Change the reader's code while it runs; return the seconds until a task is refused.

    Only root on Docker's machine can change it: the container's own root is read-only.  Raises `PermissionError`.
    """
    merged = Path(stack.container("reader").attrs["GraphDriver"]["Data"]["MergedDir"])
    began = time.monotonic()
    (merged / "app" / "planted.py").touch()
    return time.monotonic() - began if until(lambda: not works(user)) else math.inf


def until_recovered(stack: Stack, service: str, user: User) -> float:
    """Kill a container's main process; return the seconds until a task succeeds again."""
    before = stack.kill(service)
    began = time.monotonic()
    back = until(lambda: stack.container(service).attrs["State"]["Pid"] not in {0, before} and works(user))
    return time.monotonic() - began if back else math.inf


def measure(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Yield each number as it is measured: what, how much, what is wanted."""
    say("Images are built")
    stack.run("build", "--quiet")
    say("Everything starts, from nothing")
    cold = up(stack)
    yield "from nothing to all healthy", f"{cold:.0f} s", "≤ 60 s on two idle cores"
    yield "  time on a core until then", f"{cpu_seconds(stack):.0f} s", ""
    images = {
        one.tags[0]: one.attrs["Size"] / 1e6 for one in stack.docker.images.list(f"{stack.project}/*") if one.tags
    }
    ours = {name: size for name, size in images.items() if not name.partition("/")[2].startswith(OF_OTHERS)}
    yield "the largest image of ours (they share layers)", f"{max(ours.values()):.0f} MB", "≤ 320 MB"
    user = signed_in(stack, "alice")
    here = asyncio.run(in_containers(stack, user))
    yield "memory, all together", f"{megabytes(stack):.0f} MB", "≤ 1,536 MB"
    say(f"Nothing is asked for {IDLE} s")
    before, docker = cpu_seconds(stack, ATTESTATION), of_docker()
    time.sleep(IDLE)
    upkeep = (cpu_seconds(stack, ATTESTATION) - before) / IDLE
    yield "attestation's upkeep", f"{upkeep:.1%} of a core", "≤ 2 %"
    if docker:
        checks = (of_docker() - docker) / IDLE
        yield "Docker's own work, above all for health checks", f"{checks:.1%} of a core", "≤ attestation's"
    for service in (ATTESTATION, "database", "keycloak", *PARTIES):
        say(f"{service} crashes")
        user = signed_in(stack, "alice")  # a token is valid for five minutes
        yield f"{service} is killed, until a task succeeds", f"{until_recovered(stack, service, user):.1f} s", ""
    say("Everything ends, and starts with what its volumes kept")
    stack.run("down")
    yield "started again, to all healthy", f"{up(stack):.0f} s", ""
    user = signed_in(stack, "alice")
    if os.geteuid() == 0 and works(user):
        say("The reader's code changes")
        yield "changed code, until a task is refused", f"{until_refused(stack, user):.2f} s", "≤ 0.5 s"
    stack.stop()
    there = asyncio.run(on_one_machine())
    yield "a task, in containers", f"{here:.0f} ms", ""
    yield "a task, on one machine without containers", f"{there:.0f} ms (ratio {here / there:.2f})", ""


async def in_containers(stack: Stack, user: User) -> float:
    """Measure the tasks in containers."""
    async with http_client(stack) as http:
        return await tasks(http, stack.registry.address("orchestrator"), user.token)


async def on_one_machine() -> float:
    """Measure the same tasks on this machine, without containers."""
    async with running(FOLDER / "bench-compose", say=say) as system, system.user() as http:
        login = await system.sign_in("alice")
        return await tasks(http, system.address("orchestrator"), login.access_token)


def main() -> int:
    """Measure and print; leave nothing running."""
    os.environ["COMPOSE_PROJECT_NAME"] = "zero-trust-agents-bench"
    stack, rows = Stack(ROOT), []
    stack.stop()
    try:
        for what, measured, wanted in measure(stack):
            say(f"{what}: {measured}")
            rows.append((what, measured, wanted))
    except (StackError, OSError, httpx.HTTPError) as error:
        console.print(str(error), style="red")
        return 1
    finally:
        stack.stop()
    console.rule(f"What the containers cost ({os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f})")
    show(("", "measured", "wanted"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
