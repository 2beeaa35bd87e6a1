"""The ports of the store in memory, a file for each, with the same rules as the tables and with faults on demand."""
