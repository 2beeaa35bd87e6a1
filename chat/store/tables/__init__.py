"""The ports of `store/` on Azure Table Storage."""
