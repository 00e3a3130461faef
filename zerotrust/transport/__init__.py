"""HTTP and TLS as every party uses them: the server, connection pools, requests, responses, logs."""
