"""Settings of a stack whose tests make the model fail on purpose."""

ONE_ATTEMPT = {"CHAT_RETRY_ATTEMPTS": "1", "CHAT_BREAKER_FAILURES": "1000000"}
"""A failure is shown as it came, and the next test's request is let through."""
