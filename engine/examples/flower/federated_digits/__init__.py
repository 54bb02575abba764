"""Federated digits: a Flower app whose updates are coded by cabacus."""
