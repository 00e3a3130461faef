# %% [markdown]
# # 2. Scoped APIs: each token opens one door
#
# Previous: [1 Today](1_today.ipynb) | Next: [3 Delegated exchange](3_delegated_exchange.ipynb)
#
# This notebook follows the principle *scoped API enforcement* of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# The first principle of the post is scoped API enforcement. Agents, inference and tools are APIs. Each has a scope and an audience of its own.
#
# The real system of this project runs behind this notebook. It has five doors: the orchestrator, two agents, the documents tool, and inference. This notebook takes one token for each door, and tries each token at all of them.

# %% [markdown]
# ## Words
#
# | word | what it means here |
# |---|---|
# | door | the API of a party |
# | realm | the users, clients and keys that Keycloak keeps together, apart from those of other systems |
# | T0, T1, T2, T3 | the tokens of one chain: alice gets T0 at sign-in, the orchestrator gets T1 in exchange, and the reader gets T2 and T3. T1w is the orchestrator's token for the writer |
# | `aud` | the audience: the one party that a token is for |
# | `scope` | what a token permits, by name |
# | `act` | who acts for alice: the outermost `act` is the caller, the inner ones are those before it |
# | `azp` | the party to which the token was issued |
# | certificate | says which party is at the end of a connection. It lasts two minutes |
# | mutual TLS | a connection on which both ends show a certificate |
# | gate | the check around each service, which every call has to pass first |
# | MCP | the Model Context Protocol, by which agents call tools |
#
# More are in the [glossary](../docs/reference/glossary.md).

# %%
from lab.notebooks.figure import figure

figure("doors")

# %%
from demo.intruder import claims_of
from lab.before.system import DOORS
from lab.notebooks.attach import attach
from lab.notebooks.use import as_attacker, close, explain, show_decision, show_token, token_of

# %% [markdown]
# The cell below plays an intruder who is inside the orchestrator and inside both agents. Such an intruder can use their certificates, and can get every token that they could get.

# %%
system = await attach()
real = await as_attacker(system)
alice = await real.sign_in("alice")

holders = {"orchestrator": None, "agent/reader": "orchestrator", "agent/writer": "orchestrator"}
holders |= {"tool/documents": "agent/reader", "inference": "agent/reader"}
tokens = {"orchestrator": alice.credentials}
for door in DOORS[1:]:
    tokens[door] = await real.credentials(alice, holders[door], door)
    scopes = sorted(claims_of(token_of(tokens[door]))["scope"].split())
    print(f"{holders[door]:<14} got a token for {door:<16} scope: {' '.join(scopes)}")

# %% [markdown]
# This is the token for the tool. `aud` names the one door that it opens, and `scope` says what it permits there. `act` says who acts for alice, and through whom.
#
# The tokens for the two agents have more scopes than an agent needs at its own door: the others are the scopes that the agent may hand on, in the tokens that it gets in exchange.

# %%
show_token(token_of(tokens["tool/documents"]))

# %% [markdown]
# Now each token is tried at all five doors. Its holder presents it, with the holder's own certificate.
#
# Only the diagonal opens. Everything else is refused before any code of the called party runs: by its gate, or already by mutual TLS.

# %%
for intended in DOORS:
    print(f"the token for {intended}:")
    for door in DOORS:
        answer = await real.call(door, tokens[intended], by=holders[intended])
        print(f"  {'*' if door == intended else ' '} {door:<16} {explain(answer)}")

# %% [markdown]
# "No connection" is a refusal, too. alice's client has no certificate, and all parties but the orchestrator close a connection without one.
#
# The right audience is not enough. The reader's token for the tool has the scope to read, and not the scope to write.

# %%
token = tokens["tool/documents"]
for name, arguments in {"read": {"id": "ENG-101"}, "create": {"title": "A draft", "text": "text"}}.items():
    print(f"{name:<8} {explain(await real.tool(name, token, by='agent/reader', **arguments))}")

# %% [markdown]
# The right scope is not enough, either. alice works in engineering, and finance's forecast is not hers to read. MCP reports a tool's failure inside an answer with status 200, so the caller learns only that the tool failed. The tool's record has the decision.

# %%
print(f"read     {explain(await real.tool('read', token, by='agent/reader', id='FIN-201'))}")
decided = show_decision(system)

# %%
await close()
