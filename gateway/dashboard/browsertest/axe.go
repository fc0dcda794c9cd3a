package browsertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// axeCore is the version of the rules (https://github.com/dequelabs/axe-core) that pages
// have to keep.
const axeCore = "4.14.1"

// Axe is the script of the rules, as npm has it. It is in the tests alone.
type Axe string

// FindAxe returns the rules. A test that cannot have them is skipped.
func FindAxe(t testing.TB) Axe {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to install axe-core in: %v", err)
	}
	dir := filepath.Join(cache, "gateway-test", "axe-core-"+axeCore)
	script := filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")
	if _, err := os.Stat(script); err != nil {
		out, err := exec.CommandContext(t.Context(), find(t, "npm", "npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "axe-core@"+axeCore).CombinedOutput()
		if err != nil {
			t.Skipf("axe-core cannot be installed by npm: %v\n%s", err, out)
		}
	}
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	return Axe(text)
}

// violations are those of the page as it is now, in words.
const violations = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
	violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => id + ": " + help + ": " + html.slice(0, 160) + ": " + failureSummary)))`

// Check checks a page as it is now; when is for people.
func (a Axe) Check(page *Page, when string) {
	page.t.Helper()
	Eval[bool](page, `(globalThis.axe ? true : (()=>{`+string(a)+`
		return !!globalThis.axe; })())`)
	for _, wrong := range Eval[[]string](page, violations) {
		page.t.Errorf("%s: %s", when, wrong)
	}
}
