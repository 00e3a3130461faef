"""The rules of the policies, as people and checks read them.  Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from cedarpy import pst

from authorities.policy.cedar import policies_of

ACTION = "Action"
OF_SCOPES = frozenset({"scopes", "delegates", "serves", "permission"})
"""Attributes whose values are scopes (`schema.cedarschema`)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy."""

    id: str
    sentence: str
    """Its permission in words: its `@description`."""
    permits: bool
    actions: tuple[str, ...]
    """The actions it names, those of a namespace with their type; none: every action."""
    scopes: frozenset[str]
    """The scopes that it names in its conditions."""
    conditions: tuple[pst.Expr, ...]
    """All conditions; each of them has to hold."""
    entities: frozenset[tuple[str, str]]
    """The parties and documents that it names, as kind and id."""
    place: str
    """Its name in a problem: its id or its number, with its file if that is known."""

    @property
    def unconditional(self) -> str:
        """A policy for the same actions without a condition."""
        actions = ", ".join(map(_action, self.actions))
        return (
            f"permit (principal, action in [{actions}], resource);"
            if actions
            else "permit (principal, action, resource);"
        )


def rules_of(policies: str) -> list[Rule]:
    """Return the rules of a text of policies, in its order.

    Raises as `policies_of`.
    """
    return [_rule(policy, number) for number, policy in enumerate(policies_of(policies), 1)]


def _rule(policy: pst.Template, number: int) -> Rule:
    nodes = [*_below(policy.clauses)]
    return Rule(
        id=policy.annotations.get("id", ""),
        sentence=policy.annotations.get("description", ""),
        permits=policy.effect == "permit",
        actions=tuple(uid.id if str(uid.type) == ACTION else str(uid) for uid in _actions(policy.action)),
        scopes=frozenset(_scopes(nodes)),
        conditions=tuple(condition for clause in policy.clauses for condition in _conditions(clause)),
        entities=frozenset((str(uid.type), uid.id) for uid in pst.entity_uids(policy) if str(uid.type) != ACTION),
        place=policy.annotations.get("id") or f"rule {number}",
    )


def _actions(constraint: pst.ActionConstraint) -> tuple[pst.EntityUid, ...]:
    match constraint:
        case pst.ActionEq(entity):
            return (entity,)
        case pst.ActionIn(entities):
            return entities
        case _:
            return ()


def _action(name: str) -> str:
    """Return an action as Cedar text.  cedarpy's own text of an entity escapes nothing."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{ACTION}::"{escaped}"'


def _conditions(clause: pst.Clause) -> Iterator[pst.Expr]:
    """Yield the conditions that a clause joins by `&&`."""
    left: list[pst.Expr] = [clause.expr if isinstance(clause, pst.When) else pst.UnaryOp("not", clause.expr)]
    while left:
        expression = left.pop()
        if isinstance(expression, pst.BinaryOp) and expression.op == "and":
            left += [expression.right, expression.left]
        else:
            yield expression


def _scopes(nodes: list[Any]) -> Iterator[str]:
    """Yield the texts that a condition compares with an attribute of scopes, on either side."""
    for node in nodes:
        if isinstance(node, pst.BinaryOp):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, pst.GetAttr) and one.attr in OF_SCOPES:
                    yield from (below.value for below in _below(other) if isinstance(below, pst.StringLit))


def _below(*roots: Any) -> Iterator[Any]:
    """Yield every node of some trees, without recursion, because a tree can be deep."""
    left = [*roots]
    while left:
        node = left.pop()
        if isinstance(node, tuple):
            left.extend(node)
        elif isinstance(node, pst.Record):
            left.extend(node.fields.values())
        elif is_dataclass(node):
            yield node
            left.extend(getattr(node, field.name) for field in fields(node))
