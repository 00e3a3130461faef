"""The files outside of `registry.yaml` that name parties and scopes, and the party that plans."""

LOCAL, CONTAINERS, KUBERNETES = "start/local.yaml", "start/containers.yaml", "start/kubernetes.yaml"
PLACES = LOCAL, CONTAINERS, KUBERNETES
COMPOSE = "docker-compose.yml"
POLICIES, SCHEMA = "policies", "policies/schema.cedarschema"
PLANNER, PLAN = "orchestrator", "orchestrator/plan.py"
