"""orch-fleet: reports about repositories made from the template."""
