"""What a notebook shows of its copy of the project: changed lines, and a realm."""

from lab.notebooks.changes import changed_lines, realm_lines


def test_lines_that_both_texts_have_are_not_shown() -> None:
    assert changed_lines(["a", "b", "c"], ["a", "x", "c", "d"]) == ["-b", "+x", "+d"]
    assert changed_lines(["a"], ["a"]) == []


def test_a_realm_is_a_line_for_each_scope_and_for_each_client_that_gets_tokens_for_a_party() -> None:
    reader = {
        "clientId": "agent/reader",
        "defaultClientScopes": ["basic", "aud:tool/documents", "aud:inference"],
        "optionalClientScopes": ["tool.read", "inference.run"],
    }
    realm = {"clientScopes": [{"name": "tool.read"}], "clients": [reader, {"clientId": "admin-cli"}]}

    assert realm_lines(realm) == [
        "scope tool.read",
        "client agent/reader: for tool/documents, inference; scopes tool.read, inference.run",
    ]
