"""The steps that a person can try by hand while the system runs: `make up` prints them, and a test runs them."""

import json

from start.system import ROOT, System

REQUEST = "Summarise the incident reports of my department and file the result."


def steps(system: System) -> str:
    """Return the steps that a person can try while the system runs."""
    return _STEPS.format(  # control: secrets-not-in-arguments
        password=system.keycloak.passwords["alice"],
        request=json.dumps({"request": REQUEST}),
        documents=system.registry.address("tool/documents"),
        journal=system.journal("tool/documents").relative_to(ROOT),
    )


_STEPS = r"""
The passwords are of this run only.  Step by step, in bash
(in zsh: `setopt interactive_comments` first):

  # alice signs in; after five minutes ("expired"), do this again
  # (without `<<<` and what follows, it asks for her password)
  TOKEN=$(start/run start token alice <<< '{password}')
  TASK='{request}'

  # the plan; then the task, event by event, to "finished"
  start/ask /plan "$TASK" <<< "$TOKEN"
  start/ask /tasks "$TASK" -N -H "Accept: text/event-stream" <<< "$TOKEN"

  # no token: 401 no_token
  start/ask /tasks "$TASK" < /dev/null

  # her own token at the tool: no answer (curl 52 or 56), no certificate
  start/ask {documents}/mcp '{{}}' <<< "$TOKEN"

  # olga, an operator, suspends a party: a task gets peer_revoked
  # the first zt opens a browser, where she signs in (over SSH: zt --device)
  # it does not know run/ca.pem, and warns: docs/how-to/operate.md
  zt() {{ .venv/bin/zt --user olga "$@"; }}
  zt party list
  zt party suspend agent/reader
  start/ask /tasks "$TASK" <<< "$TOKEN"
  zt party reinstate agent/reader

  # one more file in the writer's code: drifted, and peer_revoked
  touch agents/writer/planted.py; sleep 1
  zt party show agent/writer
  start/ask /tasks "$TASK" <<< "$TOKEN"

  # without the file, it stays suspended until an operator reinstates it
  rm agents/writer/planted.py; sleep 1
  zt party reinstate agent/writer

  # the tool's decisions, each recorded before the tool acted
  grep -oE '"decision":.*"operation":"[^"]+"' {journal} | tail -n 5
"""

RECEIPT_STEPS = r"""
Who took part in a task (docs/reference/receipts.md).  Sign alice in again, so
that no other answer has the same tokens, and then:

  start/ask /tasks "$TASK" -o run/answer.json <<< "$TOKEN"; sleep 2
  DIGEST=$(.venv/bin/zt receipt digest run/answer.json)
  start/ask /receipts/$DIGEST -o run/answer.json.proof <<< "$TOKEN"
  .venv/bin/zt receipt verify run/answer.json

  # seven minutes later: did nobody else take part?
  .venv/bin/zt audit export > run/evidence.jsonl
  .venv/bin/zt audit verify run/evidence.jsonl
  .venv/bin/zt receipt verify run/answer.json --export run/evidence.jsonl
"""
"""The steps that show who took part in a task, for the same shell, after those of `steps`."""
