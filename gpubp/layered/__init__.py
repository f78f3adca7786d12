"""Layered networks: the straight chain, its plan, and its training."""
