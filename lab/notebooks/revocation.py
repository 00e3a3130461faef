"""Revokes something for a cell, prints how soon each enforcement point refuses, and undoes it, also after an error.

No cell administers Keycloak: what is revoked is revoked by its user, or by olga, an operator.
"""

from functools import partial

from demo.intruder import answer_to, claims_of
from demo.revocation import sign_in_olga
from demo.revocation_delays import REFUSED, measure_delays
from demo.revocation_methods import BEHIND_THE_AGENT, READER, RevocationMethod, Use, get_tokens, wait_for_user
from demo.ways import HELLO
from demo.who import name_of
from lab.before.real import Real
from lab.before.system import Answer
from lab.notebooks.use import explain


async def sign_in(real: Real, user: str = "alice") -> Use:
    """Sign in a user, for tokens at each enforcement point, and olga, whose own token is good for a minute."""
    olga = await sign_in_olga(real.system, await real.intruder.client(None))
    return await get_tokens(real.system, real.intruder, olga, user=user)


async def ask_all(use: Use) -> None:
    """Print what each enforcement point answers to the holder of its token, without what the answer means.

    Inference is asked something that it answers; `measure_delays` names a model that does not exist, which is quicker.
    """
    calls = dict(use.calls())
    calls["inference"] = partial(use.intruder.send, use.agent, "inference", "/v1/chat/completions", use.t3, json=HELLO)
    for name, call in calls.items():
        status, reason, *_ = explain(Answer(await answer_to(call()))).split()
        print(f"{name:<15}{status} {reason}")


async def measure_revocation(use: Use, method: RevocationMethod) -> None:
    """Revoke, print after how long each enforcement point refuses, and undo it."""
    for name, seconds in (await measure_delays(method, use)).items():
        print(f"{name:<15}{REFUSED}, {seconds * 1e3:.1f} ms after the request")


async def _reinstate(use: Use) -> None:
    await use.olga.ask("POST", "/reinstatements", {"kind": "user", "name": name_of(use.claims["sub"])})
    await wait_for_user(use)


USER = RevocationMethod("zt revoke user", lambda use: use.olga.revoke("user", name_of(use.claims["sub"])), _reinstate)
T1 = RevocationMethod(
    "zt revoke token, of T1",
    lambda use: use.olga.revoke("token", claims_of(use.t1)["jti"]),
    hits=(READER, *BEHIND_THE_AGENT),
)
