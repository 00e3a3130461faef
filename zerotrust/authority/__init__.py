"""What authorities alone run: no other party is measured with it, nor imports it."""
