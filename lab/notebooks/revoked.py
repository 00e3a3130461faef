"""Revokes something for a cell, and prints how soon each enforcement point refuses.  It is undone, also after an error.

No cell administers Keycloak: what is revoked is revoked by its user, or by olga, an operator.
"""

from functools import partial

from demo.intruder import answer_to, claims_of
from demo.revocation import operator
from demo.revocation_delays import REFUSED, delays
from demo.revocation_methods import BEHIND_THE_AGENT, READER, RevocationMethod, Use, in_use, until_user_active
from demo.ways import HELLO
from demo.who import name_of
from lab.before.real import Real
from lab.before.system import Answer
from lab.notebooks.use import told


async def started(real: Real, user: str = "alice") -> Use:
    """Sign in a user, for tokens at each enforcement point, and olga, whose own token is good for a minute."""
    olga = await operator(real.system, await real.intruder.client(None))
    return await in_use(real.system, real.intruder, olga, user=user)


async def ask_all(use: Use) -> None:
    """Print what each enforcement point answers to the holder of its token, without what the answer means.

    Inference is asked something that it answers; `delays` names a model that does not exist, which takes less time.
    """
    calls = dict(use.calls())
    calls["inference"] = partial(use.intruder.send, use.agent, "inference", "/v1/chat/completions", use.t3, json=HELLO)
    for name, call in calls.items():
        status, reason, *_ = told(Answer(await answer_to(call()))).split()
        print(f"{name:<15}{status} {reason}")


async def revoked(use: Use, method: RevocationMethod) -> None:
    """Revoke, print after how long each enforcement point refuses, and undo it."""
    for name, seconds in (await delays(method, use)).items():
        print(f"{name:<15}{REFUSED}, {seconds * 1e3:.1f} ms after the request")


async def _user(use: Use) -> None:
    await use.olga.revoke("user", name_of(use.claims["sub"]))


async def _reinstated(use: Use) -> None:
    await use.olga.ask("POST", "/reinstatements", {"kind": "user", "name": name_of(use.claims["sub"])})
    await until_user_active(use)


async def _t1(use: Use) -> None:
    await use.olga.revoke("token", claims_of(use.t1)["jti"])


USER = RevocationMethod("zt revoke user", _user, _reinstated)
T1 = RevocationMethod("zt revoke token, of T1", _t1, hits=(READER, *BEHIND_THE_AGENT))
