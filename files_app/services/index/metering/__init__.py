"""What organizations are billed for: what moved is counted, what lay there is computed from the index."""
