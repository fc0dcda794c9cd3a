package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// axeCore is the version of the rules (https://github.com/dequelabs/axe-core) that the
// page has to keep.
const axeCore = "4.14.1"

// axe returns the script of the rules, as npm has it. It is in the tests alone.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to install axe-core in: %v", err)
	}
	dir := filepath.Join(cache, "gateway-test", "axe-core-"+axeCore)
	script := filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")
	if _, err := os.Stat(script); err != nil {
		out, err := exec.CommandContext(t.Context(), findTool(t, "npm", "npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "axe-core@"+axeCore).CombinedOutput()
		if err != nil {
			t.Skipf("axe-core cannot be installed by npm: %v\n%s", err, out)
		}
	}
	return mustRead(t, script)
}

// violations are those of the page as it is now, in words.
const violations = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
	violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => id + ": " + help + ": " + html.slice(0, 160) + ": " + failureSummary)))`

// The page keeps axe's rules, all of them, in both sizes and colours: full of sensors and
// motors, after an e-stop, in the administrator's view, and where one logs in.
func TestPageKeepsAxesRules(t *testing.T) {
	t.Parallel()
	long(t, "it checks all rules of axe-core on five views, four times")
	b := browsertest.Start(t)
	script := axe(t)
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin})
	for name, options := range sights {
		t.Run(name, func(t *testing.T) {
			check := func(page *browsertest.Page, when string) {
				t.Helper()
				browsertest.Eval[bool](page, `(globalThis.axe ? true : (()=>{`+script+`
				return !!globalThis.axe; })())`)
				for _, wrong := range browsertest.Eval[[]string](page, violations) {
					t.Errorf("%s: %s", when, wrong)
				}
			}
			page := b.Open(t, pageOf(p)+"login", options)
			page.Wait(`document.querySelector("#token")`)
			check(page, "login")
			page.Type("#token", root+"\n")
			page.Wait(`document.querySelector("#status")`)
			page.Wait(live + ` && document.querySelectorAll(".sensor[data-state=live]").length > 10`)
			page.Wait(`document.querySelector("#temperature canvas")`) // the charts have come, which are a part of their own
			// Under a mouse it may move while the rest of the page comes.
			page.Wait(`document.querySelector("#as-table").ariaPressed === "true" || document.querySelector("#as-table").click()`)
			page.Wait(`document.querySelectorAll("#table tbody tr").length > 3`)
			check(page, "live, with the table")
			administer(page)
			page.Click("#add-token")
			check(page, "a token is being made")
			page.Type("#token-name", name+"\n")
			page.Wait(`document.querySelector("#made").checkVisibility()`)
			check(page, "a token was made")
			typeNick(page, name)
			page.Wait(`!document.querySelector("#say").hidden`)
			page.Click("#stop-all")
			page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && !document.querySelector("#latched").hidden`)
			page.Click("#reset")
			page.Wait(`document.querySelector("#latched .yes").checkVisibility()`)
			check(page, "stopped, and asked whether to reset")
			page.Click("#latched .yes")
			page.Wait(`document.querySelector("#latched").hidden`)
		})
	}
}
