"""A policy engine for the library that asks a decision point elsewhere.  No party runs it until its code has it."""
