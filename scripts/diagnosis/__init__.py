"""What `make doctor` checks: facts are collected in `gather`; what they mean is decided by pure functions beside it."""
