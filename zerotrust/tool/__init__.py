"""The code of a tool: its MCP server."""
