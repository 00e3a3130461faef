"""HTTP as every party uses it: calls to others, requests, responses, logs."""
