"""mslock: run a job on one server of a fleet; the others skip."""

__version__ = "0.1.0"
