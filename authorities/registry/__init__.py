"""The registry: publishes the parties, their approvals, the policies and all revocations."""
