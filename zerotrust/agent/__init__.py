"""The code of an agent: its A2A server, its loop, and its clients of the model and of tools."""
