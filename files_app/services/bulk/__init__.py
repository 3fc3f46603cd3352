"""Many files at once: which, what is done to each, and how that went."""
