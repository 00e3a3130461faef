"""R. Text between departments, and text without an end."""

from dataclasses import replace

from tests.support.attack import Target, Tries, attack, tool_call
from zerotrust.policy import Reason

TOOL = "tool/documents"
BOTH = ["/engineering", "/finance"]
ENGINEERINGS, FINANCES = "pager storm", "invoice paid twice"
RUN = "task.run agent.invoke tool.read tool.write inference.run"


def mixed(target: Target) -> bool:
    """Whether a document holds what the other department wrote."""
    foreign = {"/engineering": FINANCES, "/finance": ENGINEERINGS}
    return any(foreign[document["department"]] in document["text"] for document in target.system.documents().values())


@attack(170)
async def test_text_of_one_department_is_filed_in_another(target: Target) -> Tries:
    """Dana is in both departments.  She asks for both reports in one draft, by mistake or not; and agents that were
    taken over use what they hold for her."""
    dana, asked = target.issuer.token(sub="dana", groups=BOTH, scope=RUN), "Summarise our incident reports and file it."
    for department, reason in ((None, Reason.DEPARTMENT_NEEDED), *((name, Reason.GRANTED) for name in BOTH)):
        body = {"request": asked, "department": department}
        tried = await target.send("orchestrator", dana, path="/tasks", body=body, reason=reason)
        yield replace(tried, effect=mixed(target))
    for token, call in (
        (target.token(TOOL, groups=BOTH), tool_call("read", id="FIN-201")),
        (target.writing(groups=BOTH), tool_call("create", title="x", text=FINANCES)),
    ):
        yield await target.send(TOOL, token, body=call)


@attack(171)
async def test_an_operator_of_no_department_runs_a_task(target: Target) -> Tries:
    for groups in (["/operators"], ["/operators", "/staff"], ["/engineering/interns"]):
        yield await target.send("orchestrator", target.token("orchestrator", groups=groups))
