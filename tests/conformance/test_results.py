"""The tables of the page: what another machine has run stays."""

from __future__ import annotations

from conformance import results

CELL = {"outcome": "passed", "seen": ["one", "two"]}


def test_results_of_one_orchestrator_leave_those_of_others_on_the_page(tmp_path):
    begin, end = (each.format("data_products") for each in (results.BEGIN, results.END))
    before = results.markdown({"airflow": {"B1": CELL, "a contract breaks": CELL}, "dagster": {"B1": CELL}})
    page, file = tmp_path / "page.md", results.file_of(tmp_path, "data_products")
    page.write_text(f"text\n{begin}\n\n{before}\n{end}\nmore text\n")
    results.write(file, {"dagster": {"B1": {"outcome": "failed", "seen": []}, "B6": CELL}})
    results.show(file, page)
    text = page.read_text()
    assert (text.partition(begin)[0], text.partition(end)[2]) == ("text\n", "\nmore text\n")
    shown = results.read(text.partition(begin)[2].partition(end)[0])
    passed = {"outcome": "passed", "seen": ["one; two"]}
    assert shown["airflow"] == {"B1": passed, "a contract breaks": passed}
    assert shown["dagster"] == {"B1": {"outcome": "failed", "seen": []}, "B6": passed}
    assert shown["prefect"] == {}
