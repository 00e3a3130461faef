"""The walkthrough of the running system: a task, the calls that are refused, and the revocations."""
