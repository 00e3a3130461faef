"""The checks that fail by design, by suite, with reasons.

Runs and `docs/reference/conformance.md` are compared with it.

Checks of the MCP suite that also fail on the SDK without the gate are not listed: that suite expects its own
demonstration server, and the run compares with the same tools on the same SDK.
"""

_NOT_SERVED = "no prompts, resources or subscriptions are served here, and none are advertised"
_DEMONSTRATION = "it calls a tool of the suite's own server, and an unknown tool is denied, not answered"
_ARTIFACT = "it wants the kit's own canned answers; our agents answer with a message and keep no task"

EXPECTED: dict[str, dict[str, str]] = {
    "MCP conformance suite": {
        "caching: sep-2549-prompts-list-caching-hints": _NOT_SERVED,
        "caching: sep-2549-resources-list-caching-hints": _NOT_SERVED,
        "caching: sep-2549-resources-templates-list-caching-hints": _NOT_SERVED,
        "dns-rebinding-protection: localhost-host-valid-accepted": "any `Origin` is refused: no page is meant to come",
        "input-required-result-ignore-extra-params: sep-2322-ignore-unexpected-params": _DEMONSTRATION,
        "prompts-list: prompts-list": _NOT_SERVED,
        "resources-list: resources-list": _NOT_SERVED,
        "sep-2164-resource-not-found: sep-2164-error-code": _NOT_SERVED,
        "sep-2164-resource-not-found: sep-2164-data-uri": _NOT_SERVED,
        "server-stateless: sep-2575-http-server-no-independent-requests-on-stream": _DEMONSTRATION,
        "server-stateless: sep-2575-server-no-log-without-loglevel": _DEMONSTRATION,
        "server-stateless: sep-2575-server-sends-subscription-ack": _NOT_SERVED,
        "server-stateless: sep-2575-server-tags-subscription-id": _NOT_SERVED,
        "server-stateless: sep-2575-server-honors-notification-filter": _NOT_SERVED,
        "tools-call-error: tools-call-error": _DEMONSTRATION,
        "tools-call-simple-text: tools-call-simple-text": _DEMONSTRATION,
    },
    "A2A compatibility kit": {
        "test_task_has_text_artifact[jsonrpc]": _ARTIFACT,
        "test_task_has_file_artifact[jsonrpc]": _ARTIFACT,
        "test_task_has_file_url_artifact[jsonrpc]": _ARTIFACT,
        "test_task_has_data_artifact[jsonrpc]": _ARTIFACT,
        "test_returns_message_with_text_part[jsonrpc]": _ARTIFACT,
        "test_must_requirement[CORE-SEND-003-jsonrpc]": (
            "the refusal with -32005 that this rule demands is what comes, and the kit counts any error as a failure"
        ),
    },
}
