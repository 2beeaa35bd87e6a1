"""Everything that is kept, behind ports, on Azure Table Storage."""
