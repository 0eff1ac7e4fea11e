// The decision in Pyodide: tools/decision_page.py with the template's own questions and rules.

const SETUP = `
import json, sys
sys.path[:0] = [".", "tools"]
import decision_page

outcome = {}

def decide(given):
    outcome.update(decision_page.decide(json.loads(given)))
    return json.dumps({name: value for name, value in outcome.items() if name != "context"})

def review():
    return json.dumps(decision_page.review(outcome))

def record():
    return decision_page.record(outcome)
`;

/**
 * py: what loadPyodide gives; archive: the bytes of engine.zip. Returns decide(given), and review() and record() of the
 * answers that decide was called with last.
 */
export function engine(py, archive) {
  py.unpackArchive(archive, "zip");
  py.runPython(SETUP);
  const [decide, review, record] = ["decide", "review", "record"].map((name) => py.globals.get(name));
  return {
    decide: (given) => JSON.parse(decide(JSON.stringify(given))),
    review: () => JSON.parse(review()),
    record,
  };
}
