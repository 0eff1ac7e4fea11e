"""Covering sets: few rows in which every combination of any few columns' values appears."""

from __future__ import annotations

import itertools

import numpy as np
from decision_engine import CHOICES, LISTS, data

_TOUCHED = data("integrations")["systems"]
# Of each list but the needs, what is tried: nothing, each item alone, and of systems some that go together.
TYPICAL = {
    "connects_to": [
        [],
        *(
            [name for name, system in _TOUCHED.items() if cloud in system.get("clouds", [])]
            for cloud in ("aws", "gcp", "azure")
        ),
        ["sftp", "kafka", "snowflake"],
        ["postgresql", "http_api"],
        list(_TOUCHED),
    ],
    "experience": [[], *([skill] for skill in CHOICES["experience"])],
    "matters_most": [[], *([dimension] for dimension in CHOICES["matters_most"])],
}


def covering_rows(levels: list[int], strength: int, seed: int = 20130101) -> np.ndarray:
    """Rows of value numbers, so that any `strength` columns show every combination of their values in some row.

    levels: how many values each column has. Greedy: each row starts with a combination still missing and takes, column
    by column, the value that brings most of the others that are. The same arguments give the same rows.
    """
    dice = np.random.default_rng(seed)
    subsets = np.array(list(itertools.combinations(range(len(levels)), strength)))
    sizes = np.array(levels)[subsets]
    # A combination's number: where its subset begins, plus its values as digits of a number in that subset's bases.
    strides = np.ones_like(sizes)
    for column in range(strength - 2, -1, -1):
        strides[:, column] = strides[:, column + 1] * sizes[:, column + 1]
    starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
    missing = np.ones(starts[-1], dtype=bool)
    holding = [np.flatnonzero((subsets == column).any(axis=1)) for column in range(len(levels))]
    own_stride = [(strides * (subsets == column))[holding[column]].sum(axis=1) for column in range(len(levels))]
    rows, first = [], 0
    while True:
        first = first + int(np.argmax(missing[first:]))
        if not missing[first]:
            return np.array(rows)
        row = np.zeros(len(levels), dtype=np.int64)
        known = np.zeros(len(levels), dtype=bool)
        begun = int(np.searchsorted(starts, first, side="right")) - 1
        row[subsets[begun]] = (first - starts[begun]) // strides[begun] % sizes[begun]
        known[subsets[begun]] = True
        for column in dice.permutation(np.flatnonzero(~known)):
            known[column] = True
            # Subsets that this column completes, and the number of the combination in each when its value is 0.
            complete = known[subsets[holding[column]]].all(axis=1)
            which = holding[column][complete]
            base = starts[which] + (row[subsets[which]] * strides[which]).sum(axis=1)
            steps = own_stride[column][complete]
            gains = [missing[base + value * steps].sum() for value in range(levels[column])]
            best = np.flatnonzero(np.array(gains) == max(gains))
            row[column] = dice.choice(best)
        missing[starts[:-1] + (row[subsets] * strides).sum(axis=1)] = False
        rows.append(row)


def missing_combinations(rows: np.ndarray, levels: list[int], strength: int) -> int:
    """How many combinations of `strength` columns' values appear in no row."""
    found = 0
    for subset in itertools.combinations(range(len(levels)), strength):
        sizes = [levels[column] for column in subset]
        number = np.ravel_multi_index(rows[:, subset].T, sizes)
        found += int(np.prod(sizes)) - len(np.unique(number))
    return found


def situations(strength: int) -> list[dict]:
    """Answers in which every combination of any `strength` answers appears.

    Each need is chosen or not; of the other lists a few typical choices stand for all.
    """
    columns = [(name, CHOICES[name]) for name in CHOICES if name not in LISTS]
    columns += list(TYPICAL.items())
    levels = [len(values) for _, values in columns] + [2] * len(CHOICES["needs"])
    rows = covering_rows(levels, strength)
    return [
        {name: values[int(number)] for (name, values), number in zip(columns, row, strict=False)}
        | {"needs": [need for need, chosen in zip(CHOICES["needs"], row[len(columns) :], strict=True) if chosen]}
        for row in rows
    ]


def satisfying(when: dict) -> dict:
    """The few answers for which `when` of a rule holds."""
    situation = {}
    for name, wanted in when.items():
        if isinstance(wanted, dict):
            taken = wanted.get("all", []) + wanted.get("any", [])[:1]
            fitting = [value for value in CHOICES[name] if value not in wanted.get("none", [])]
            if "beyond" in wanted or wanted == {"none": [""]}:
                situation[name] = CHOICES[name][:1] if "none" in wanted else []
            elif name in LISTS:
                situation[name] = taken
            else:
                situation[name] = taken[0] if taken else fitting[0]
        else:
            first = wanted[0] if isinstance(wanted, list) else wanted
            situation[name] = [first] if name in LISTS else first
    return situation
