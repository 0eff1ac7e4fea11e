import helpers.money
from helpers import runs  # expect: business-imports-orchestrator
