"""The files outside of `registry.yaml` that name parties and scopes, and the party that plans."""

LOCAL, CONTAINERS = "deploy/local.yaml", "deploy/containers.yaml"
PLACES = LOCAL, CONTAINERS
COMPOSE = "docker-compose.yml"
POLICIES, SCHEMA = "policies", "policies/schema.cedarschema"
PLANNER, PLAN = "orchestrator", "orchestrator/plan.py"
