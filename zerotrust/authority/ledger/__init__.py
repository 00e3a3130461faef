"""What the audit log and its witness write and sign."""
