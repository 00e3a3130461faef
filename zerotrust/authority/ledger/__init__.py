"""The statements that the audit log and its witness sign."""
