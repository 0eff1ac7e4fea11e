"""Validate data contracts against the schema of their standard: run by the Python of `.venv-dbt`, which has it.

Prints a line for each mistake, and exits with 1 when there is one. Imports nothing of the project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(files: list[str]) -> int:
    import jsonschema
    import open_data_contract_standard
    import yaml

    schema = next(Path(open_data_contract_standard.__file__).parent.rglob("schema.json"))
    rules = json.loads(schema.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(rules)(rules)
    mistakes = 0
    for file in files:
        for error in validator.iter_errors(yaml.safe_load(Path(file).read_text(encoding="utf-8"))):
            mistakes += 1
            print(f"{Path(file).name}: {error.json_path}: {error.message.splitlines()[0][:200]}")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
