"""Fitting networks: data, damage, losses, the loop, scores."""
