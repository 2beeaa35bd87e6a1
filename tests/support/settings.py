"""Settings of a stack whose tests make the model fail on purpose."""

ONE_ATTEMPT = {"CHAT_PROVIDERS": "AZURE", "CHAT_RETRY_ATTEMPTS": "1", "CHAT_BREAKER_FAILURES": "1000000"}
"""A failure is shown as it came, by the one service that is asked, and the next test's request is let through."""
