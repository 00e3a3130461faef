"""The system of figure 1: client A has an id and a secret, platform B passes its token on, tool C has a static key.

Read it in this order: `realm.py`, `orchestrator.py`, `agent.py`, `../tool.py`; then `running.py`, which starts it.
"""
