"""Adapters for the SDKs: A2A agents, MCP tools, and the loop in which a model calls tools."""
