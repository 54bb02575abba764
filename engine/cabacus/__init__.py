"""cabacus: context-adaptive binary arithmetic coding for neural-network weights."""

__version__ = "0.1.0"
