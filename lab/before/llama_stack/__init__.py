"""The pass-through of figure 3: an agent hands its caller's own token to a Llama Stack, and a static key to its tool.

Read it in this order: `agent.py`, `stack.py`, `tool.py`; then `attacks.py`.
"""
