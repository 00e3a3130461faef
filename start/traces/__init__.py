"""Traces made of evidence: the records of the audit log as OpenTelemetry's spans, for `start/compose.traces.yaml`."""
