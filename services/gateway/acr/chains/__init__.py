"""Delivery chains: gates in the words of the reference, held against every scan in their scope."""
