# %% [markdown]
# # 3. Delegated exchange: a new token for each hop
#
# Previous: [2 Scoped APIs](2_scoped_apis.ipynb) | Next: [4 Continuous verification](4_continuous_verification.ipynb)
#
# This notebook follows figures 2 and 4, and the principle *delegated token exchange* of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# In the first notebook, one token was passed on from party to party. The second principle of the post is delegated token exchange: nobody passes a token on. Each party shows Keycloak the token that it got, and asks for a new one for the next hop.
#
# Keycloak is the issuer here: it makes all tokens. The exchange has a standard, RFC 8693.
#
# This is figure 2. T0 is the token that alice gets when she signs in. T1 and T2 come from it by exchange.

# %%
from lab.notebooks.figure import figure

figure("exchange")

# %%
from functools import partial

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from demo.intruder import User, answer_to, claims_of
from lab.before.system import Answer
from lab.notebooks.attach import attach
from lab.notebooks.exchange import chain, show_answer, show_tokens
from lab.notebooks.use import as_attacker, bearer, close, curl, curl_variables, explain, token_of
from zerotrust.issuer.client import credential
from zerotrust.issuer.exchange import TokenRequest
from zt.people.key import BoundToken, Key

# %% [markdown]
# The cells act for the orchestrator and for the agents: they have the identities of these parties. Here alice signs in, and her client gets T0.

# %%
system = await attach()
real = await as_attacker(system)
alice = await real.sign_in("alice")
t0 = token_of(alice.credentials)
print(claims_of(t0)["azp"], "got T0, for", claims_of(t0)["aud"])

# %% [markdown]
# Keycloak says at a well-known address which kinds of requests it accepts. The token exchange is one of them.

# %%
where = curl_variables(system)
await curl("curl $ISSUER/.well-known/openid-configuration | grep -o 'urn:[a-z:-]*token-exchange'", **where)

# %% [markdown]
# ## The request
#
# This is the form that the orchestrator sends to Keycloak, built by the same code ([exchange.py](../zerotrust/issuer/exchange.py)). Two values are secret, so they have names here.

# %%
scopes = "agent.invoke inference.run llama.chat tool.read"
wanted = TokenRequest(audience=system.registry.id("agent/reader"), scopes=frozenset(scopes.split()))
form = wanted.form("<T0>") | credential("<the orchestrator's JWT-SVID>")
for field, value in form.items():
    print(f"{field:<22}{value}")

# %% [markdown]
# `subject_token` says for whom: alice. `audience` says where the new token can be used: at the reader alone. `scope` says for what.
#
# `client_assertion` says who asks. The orchestrator has no password at Keycloak. It has a JWT-SVID: a statement that the attestation authority has signed. The authority measures the code of a process, and gives the statement to approved code only.

# %%
says = claims_of(await system.assertion("orchestrator"))
print(f"sub       {says['sub']}\naud       {', '.join(says['aud'])}\nlifetime  {says['exp'] - says['iat']} s")

# %% [markdown]
# ## The answer
#
# Now the orchestrator sends its request.

# %%
answer = await real.intruder.exchange("orchestrator", t0, "agent/reader", scopes)
t1 = answer.json()["access_token"]
show_answer(answer, "T1")

# %% [markdown]
# The reader does the same with T1. It wants a token for the tool, to read and nothing else.

# %%
answer = await real.intruder.exchange("agent/reader", t1, "tool/documents", "tool.read")
t2 = answer.json()["access_token"]
show_answer(answer, "T2")

# %% [markdown]
# Each token is now used once: by its holder, at the party that it is for.

# %%
hops = (t0, None, "orchestrator"), (t1, "orchestrator", "agent/reader"), (t2, "agent/reader", "tool/documents")
for token, by, door in hops:
    answer = await real.call(door, bearer(token), by=by)
    print(f"{by or 'a client':<13} → {door:<15} {explain(answer)}")

# %% [markdown]
# ## T0 beside T1 beside T2
#
# Every party records the claims of the tokens that it accepts. Here they are beside each other. What a token has lost is marked by -, and what is new by +.

# %%
show_tokens(chain(system, t0))

# %% [markdown]
# What stays: the user. Every token is alice's, in her department.
#
# What narrows: the scope gets smaller at each hop, and the lifetime shorter. Each token is for one party.
#
# What grows: `act`, the chain of those who act for alice. Keycloak writes it. So the tool knows for whom it works, and through whom the request came. In the first notebook, it could not tell.
#
# ## What Keycloak refuses
#
# Now an intruder is inside the orchestrator and both agents, and asks for more. alice signs in again for that, and `way` gets new tokens whenever the old ones are about to end.
#
# First, the reader asks for a token that lasts an hour.

# %%
way, ask = User("alice", real.intruder), real.intruder.exchange
show_answer(await ask("agent/reader", await way.t1(), "tool/documents", "tool.read", lifetime=3600), "a token")

# %% [markdown]
# Keycloak does not fail; it ignores the request. The registry ([registry.yaml](../registry.yaml)) is the list of all parties. It says that the reader's tokens last 60 s at most. A client can only ask for a shorter lifetime, and no token outlives the one that it comes from.
#
# Next, alice has signed in for reading only, and the orchestrator asks for a token that can write.

# %%
show_answer(await ask("orchestrator", await way.t0_reading(), "agent/writer", "agent.invoke tool.write"))

# %% [markdown]
# Nobody gets a scope by exchange that the token did not have before.
#
# Next, the reader asks for a token for the writer.

# %%
show_answer(await ask("agent/reader", await way.t1(), "agent/writer", "inference.run"))

# %% [markdown]
# The registry does not let the reader call the writer. So Keycloak has no such audience for it.
#
# Next, the writer has got hold of T1, and exchanges it. T1 was not meant for the writer.

# %%
show_answer(await ask("agent/writer", await way.t1(), "tool/documents", "tool.read"))

# %% [markdown]
# Only the party that a token is for may exchange it.
#
# So the writer says that it is the reader.

# %%
reader = system.registry.id("agent/reader")
show_answer(await ask("agent/writer", await way.t1(), "tool/documents", "tool.read", client_id=reader))

# %% [markdown]
# The name has to be the one in the JWT-SVID, and the writer cannot get a JWT-SVID with another name.
#
# So the writer makes one by itself, with the reader's name and a signature of its own.

# %%
genuine = await system.assertion("agent/writer")
claims, kid = claims_of(genuine) | {"sub": reader}, jwt.get_unverified_header(genuine)["kid"]
forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": kid})
show_answer(await ask("agent/writer", await way.t1(), "tool/documents", "tool.read", client_assertion=forged))

# %% [markdown]
# Keycloak accepts only what the attestation authority has signed.
#
# A thief has a copy of T0, and no JWT-SVID at all. `$TOKEN` is T0.

# %%
await curl(
    "curl $TOKENS -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
    " -d subject_token_type=urn:ietf:params:oauth:token-type:access_token"
    ' --data-urlencode subject_token@<(printf %s "$TOKEN")',
    token=await way.t0(),
    **where,
)

# %% [markdown]
# Last, the reader exchanges a token of its own, T2. That could begin the chain anew: the tool would no longer see that the request came through the orchestrator, and suspending the orchestrator would not end the token.

# %%
answer = await ask("agent/reader", await way.t2(), "tool/documents", "tool.read")
dead = answer.json()["access_token"]
show_answer(answer, "a dead token")
print(explain(await real.tool("read", bearer(dead), by="agent/reader", id="ENG-101")))

# %% [markdown]
# Keycloak answers with a token, as it always does for a client's own token. But a script of this project ([delegation.js](../keycloak-realm/delegation.js)) sees each token before Keycloak signs it. It lets this one end in the year 1970, so nobody accepts it.
#
# ## T2 is stolen
#
# Figure 4 adds attestation. A token is not enough to call a party. The caller also has to prove which code it is.

# %%
figure("proof")

# %% [markdown]
# The certificate has the reader's name, and its private key goes to that one process. Parties show their certificates to each other when they connect (mutual TLS). The tool compares the name in the caller's certificate with the party that T2 was issued to, which is in its claim `azp`.
#
# So T2 works for the reader. It does not work for the writer, which has stolen it, nor for a program without a certificate.

# %%
stolen = bearer(await way.t2())
for by in "agent/reader", "agent/writer", None:
    answer = await real.tool("read", stolen, by=by, id="ENG-101")
    print(f"{by or 'a program':<13} {explain(answer)}")

# %% [markdown]
# People's clients have no certificate. So T0 is bound to a key, which alice's client made when she signed in. With each request, the client sends a proof that this key has signed, for this one request (DPoP, RFC 9449).
#
# So T0 works for her client. It does not work for a thief that has copied it: neither with a proof that a key of the thief's own has signed, nor alone, as a bearer token.

# %%
copied = await way.t0()
plan = partial(real.intruder.send, None, "orchestrator", "/plan", None, json={"request": "Read ENG-101"})
print("alice        ", explain(Answer(await answer_to(plan(auth=BoundToken(way.login.key, copied))))))
print("a thief      ", explain(Answer(await answer_to(plan(auth=BoundToken(Key(), copied))))))
print("T0 alone     ", explain(Answer(await answer_to(plan(headers=bearer(copied))))))

# %% [markdown]
# And a workload must not use T0. It would hide who acts.

# %%
print(explain(await real.call("orchestrator", bearer(await way.t0()), by="agent/reader")))

# %%
await close()

# %% [markdown]
# The tokens in this notebook were good until they ended. The next notebook ends them earlier.
