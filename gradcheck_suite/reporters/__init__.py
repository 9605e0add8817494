"""Reporters: each turns a results document into something to read, and knows nothing else."""
