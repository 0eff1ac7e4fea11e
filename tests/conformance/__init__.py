"""The behaviours B1 to B15 of docs/conformance.md, on real engines, seen from outside."""
