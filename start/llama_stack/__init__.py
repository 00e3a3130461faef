"""Runs a Llama Stack (OGX) server behind inference on this machine: `MODEL=llama-stack`."""
