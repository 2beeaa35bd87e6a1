"""A functions host that drives Microsoft's own `azure-functions-runtime` inside its own process."""
