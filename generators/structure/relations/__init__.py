"""The kinds of relations: how each is taken out of a log and derived again in a sample."""
