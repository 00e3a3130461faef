"""The files outside of `registry.yaml` that name parties and scopes, and the party that plans."""

LOCAL, CONTAINERS = "start/local.yaml", "start/containers.yaml"
PLACES = LOCAL, CONTAINERS
COMPOSE = "docker-compose.yml"
POLICIES, SCHEMA = "policies", "policies/schema.cedarschema"
PLANNER, PLAN = "orchestrator", "orchestrator/plan.py"
