"""orch-fleet: how far repositories are from the template they were made from. Reads them, never writes into them."""
