"""The files outside of `registry.yaml` that name parties and scopes, and the party that plans."""

LOCAL = "start/generated/local.yaml"
CONTAINERS = "start/generated/containers.yaml"
KUBERNETES = "start/generated/kubernetes.yaml"
POLICIES, SCHEMA = "policies", "policies/schema.cedarschema"
PLANNER = "orchestrator"
