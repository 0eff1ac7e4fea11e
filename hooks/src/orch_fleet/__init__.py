"""orch-fleet: how many repositories stand to the template they were made from. Reads them, never writes into them."""
