"""`python -m benchmarks chaos`: the whole stack under a hostile mix, and what came of every message and turn.

`users.py` and `rooms.py` act, `faults.py` breaks things, all of them write down what they did and saw (`journal.py`);
afterwards `oracle.py` and its siblings judge from the journal alone, and `figures.py` shows it.
"""
