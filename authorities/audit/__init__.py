"""The audit authority: takes every party's journal, and publishes all records in one log."""
