"""What authorities run.  Other parties are measured without it."""
