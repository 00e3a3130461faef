# %% [markdown]
# # 7. Authorities outside: a rule changes, and no service does
#
# Previous: [6 Registration](6_registration.ipynb) | Next: [8 Your own agent](8_your_own_agent.ipynb)
#
# This notebook follows figure 5 of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# In figure 5 of the post, the orchestrator *enforces* decisions and does not make them. Who somebody is, what the rules are, and which code runs is decided by authorities outside of it. So a rule can change without any change to the orchestrator.
#
# This notebook changes one rule while the system runs, so it needs `make notebooks`. It changes no file: it does what `zt policy activate` does, and each cell undoes its own change. The cell below the figure undoes whatever an interrupted run has left.

# %%
from lab.notebooks.figure import figure

figure("authorities")

# %%
import asyncio
from functools import partial

from lab.notebooks.attach import attach
from lab.notebooks.command import zt
from lab.notebooks.rules import changed_rule
from lab.notebooks.rules import rule as rule_called
from lab.notebooks.temporary import processes, put_right, wait_until
from lab.notebooks.use import as_attacker, close, explain, show_decision
from zt.errors import RefusedError

system = await attach()
real = await as_attacker(system)
await put_right(system)

# %% [markdown]
# Keycloak issues the tokens. The policy authority has the rules, and the registry knows all parties. Attestation measures code and issues certificates. Each of them is a process of its own. The agents, the tool and inference get the same from them as the orchestrator.
#
# ## The rule in force
#
# The rules are written in Cedar, a language for such rules. This one says who may read a document:

# %%
rule = rule_called("read-own-department")
print(rule)

# %% [markdown]
# In a sentence: a token with the scope `tool.read` may read a public or internal document of the department that the user belongs to. What no rule permits is refused.
#
# alice works in engineering, and report ENG-101 is of engineering. The reader reads it for her.

# %%
token = await real.credentials(await real.sign_in("alice"), "agent/reader", "tool/documents")
read = partial(real.tool, "read", token, by="agent/reader", id="ENG-101")
print("the reader is told:", explain(await read()))
before, _ = show_decision(system)

# %% [markdown]
# ## The rule changes
#
# Suppose that you no longer want agents to read documents at all, not even for a user who may. `context.delegated` is true when somebody acts for the user. The rule gets one more line.

# %%
stricter = rule.replace("\n};", "\n  && !context.delegated\n};")
print(stricter)

# %% [markdown]
# The policies come with a table of questions and the answers that they have to get. Some of its rows say that agents read; whoever changes the rule changes these rows, and here they are left out. Otherwise the policy authority would not publish the rule.
#
# Then olga, an operator, activates the new version (`zt policy activate`). The policy authority tests it, signs it, and brings it to the registry, which passes it on to every service.
#
# The reader goes on calling the tool meanwhile, with the same token.

# %%
token = await real.credentials(await real.sign_in("alice"), "agent/reader", "tool/documents")
read = partial(real.tool, "read", token, by="agent/reader", id="ENG-101")
running = processes(system)
async with changed_rule(system, rule, stricter) as change:
    print("rows of the table that say otherwise:", change.rows)
    print("before olga activates it:", explain(await read()))
    activating = asyncio.create_task(change.activate())
    took = await wait_until("200 tool error", read, after=activating)
    await activating
    print(f"olga has activated it: {took:.0f} ms later the reader is refused.")
    print("the reader is told:", explain(await read()))
    after, trace = show_decision(system)
print("by the rules of before:", "yes" if after == before else "no")

# %% [markdown]
# The reader learns only that its call failed. (MCP, the protocol between agents and tools, tells that with status 200.) The tool's record has the decision: no rule permits the call. It also has the version of the rules by which that was decided.
#
# Each version stays at the policy authority, so it can say in words why it was a no: which rule came nearest, and what it missed. The next cell runs `zt`, the operators' command; a program signs olga in, in the place of her browser.

# %%
await zt(system, "policy explain TRACE", TRACE=trace)

# %% [markdown]
# No service was started again. All of them are the processes of before:

# %%
for party, process in processes(system).items():
    print(f"{'the same process' if process == running[party] else 'ANOTHER PROCESS':<18} {party}")

# %% [markdown]
# The cell above has ended, so its change is undone: the old rule is back, as a new version, for what was in force stays on record.

# %%
token = await real.credentials(await real.sign_in("alice"), "agent/reader", "tool/documents")
read = partial(real.tool, "read", token, by="agent/reader", id="ENG-101")
await wait_until("200 ok", read)
print("the reader is told:", explain(await read()))
before, _ = show_decision(system)

# %% [markdown]
# ## A rule that is wrong
#
# Somebody makes the same change, and a mistake in it: `delegate` for `delegated`. Cedar has a schema, which says what a rule may ask about.

# %%
wrong = stricter.replace("context.delegated", "context.delegate")
token = await real.credentials(await real.sign_in("alice"), "agent/reader", "tool/documents")
read = partial(real.tool, "read", token, by="agent/reader", id="ENG-101")
async with changed_rule(system, rule, wrong) as change:
    try:
        await change.activate()
    except RefusedError as refused:
        print("\n".join(str(refused).splitlines()[:2]))
    print("\nthe reader is told:", explain(await read()))
    after, _ = show_decision(system)
print("by the rules of before:", "yes" if after == before else "no")

# %% [markdown]
# The policy authority refuses all of it, and the old rules stay in force everywhere. A service never sees half of a change.
#
# Now it is your turn: change `stricter` above, and run all cells again. The cell below it waits until the call is refused. If the policy authority refuses your rule, the cell ends with its answer. If your rule permits the call, the cell gives up after half a minute. In each case the old rule is back.

# %%
await close()
