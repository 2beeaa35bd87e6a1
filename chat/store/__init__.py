"""The ports of everything that is kept, a file for each feature, and beneath them the tables of Azure that keep it.

What begins with `load` is for the app itself and asks nobody. All calls raise `StoreUnavailable` when the service does
not answer in time, `StoreConflict` when too many writers met, `StoreRefused` for what it will never keep, however often
it is asked. The contracts in `tests/store/` hold the rules of each port as tests.
"""
