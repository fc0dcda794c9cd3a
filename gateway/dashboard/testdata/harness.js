// @ts-check
// Just enough to test with, in a browser: page_test.go runs what is registered
// here and reports each test by its name.

/** @type {[name: string, body: () => unknown][]} */
export const tests = [];

/** @param {string} name @param {() => unknown} body */
export const test = (name, body) => tests.push([name, body]);

/** Runs all tests. @returns {Promise<{name: string, error: string}[]>} error is empty if there is none */
export async function run() {
  const results = [];
  for (const [name, body] of tests) {
    let error = "";
    try {
      await body();
    } catch (thrown) {
      error = String(/** @type {any} */ (thrown)?.stack ?? thrown);
    }
    results.push({ name, error });
  }
  return results;
}

/** A value as text in which NaN, undefined and the order of keys count. @param {any} value @returns {string} */
function show(value) {
  if (Array.isArray(value)) return `[${Array.from(value, show).join(", ")}]`;
  if (value === null || typeof value !== "object") return typeof value === "string" ? JSON.stringify(value) : Object.is(value, -0) ? "-0" : String(value);
  return `{${Object.keys(value).sort().map((key) => `${key}: ${show(value[key])}`).join(", ")}}`;
}

/** @param {unknown} got @param {unknown} want @param {string} [what] */
export function equal(got, want, what = "") {
  if (show(got) !== show(want)) throw new Error(`${what} got ${show(got)}\nwant ${show(want)}`);
}

/** @param {() => unknown} body @param {Function} kind */
export function throws(body, kind) {
  try {
    body();
  } catch (error) {
    if (error instanceof /** @type {any} */ (kind)) return;
    throw error;
  }
  throw new Error(`did not throw a ${kind.name}`);
}

/** @param {Promise<unknown>} promise @returns {Promise<any>} what it was rejected with */
export async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("was not rejected");
}
