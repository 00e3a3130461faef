"""What a tool runs: its MCP server."""
