// Loads the engine beside the page, so that the form never waits for it, and answers one message after the other.
import { engine } from "./engine.mjs";

let newest = 0;
let started;

self.onmessage = async ({ data }) => {
  if (data.start) {
    started = start(data.start);
    return;
  }
  if (data.given) newest = data.id;
  try {
    const { decide, review, record } = await started;
    if (data.record) {
      self.postMessage({ record: record() });
      return;
    }
    if (data.id !== newest) return; // a later answer is waiting
    self.postMessage({ id: data.id, outcome: decide(data.given) });
    // What takes longer comes second, unless there is another answer by then.
    await new Promise((resolve) => setTimeout(resolve));
    if (data.id === newest) self.postMessage({ id: data.id, review: review() });
  } catch (error) {
    self.postMessage({
      error: String(error.message ?? error)
        .trim()
        .split("\n")
        .pop(),
    });
  }
};

async function start(bytes) {
  countFetched(bytes);
  const archive = fetch(new URL("engine.zip", import.meta.url));
  const { loadPyodide } = await import("./pyodide/pyodide.mjs");
  const py = await loadPyodide({ indexURL: new URL("pyodide/", import.meta.url).href });
  const made = engine(py, new Uint8Array(await (await archive).arrayBuffer()));
  self.postMessage({ ready: true });
  return made;
}

/** Reports the share of `bytes`, all that is fetched, as it arrives. */
function countFetched(bytes) {
  const plain = self.fetch;
  let loaded = 0;
  self.fetch = async (...request) => {
    const response = await plain(...request);
    if (!response.ok) throw new Error(`${response.url} could not be loaded (${response.status})`);
    const count = new TransformStream({
      transform(chunk, stream) {
        loaded += chunk.byteLength;
        self.postMessage({ loaded: Math.min(1, loaded / bytes) });
        stream.enqueue(chunk);
      },
    });
    const { headers, status } = response;
    return new Response(response.body.pipeThrough(count), { headers, status });
  };
}
