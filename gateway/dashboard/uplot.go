package dashboard

import (
	"io"

	"github.com/tsenart/vegeta/v12/lib/plot"
)

// uPlot draws the charts: 51 KB, no dependency, fast enough for ten hertz on a
// Pi. It is published for JavaScript's package manager only, which a Go build
// should not need. vegeta, a load tester, embeds the published files, byte for
// byte (the tests know their sums), so Go's module proxy and go.sum vouch for
// them as for all else. Nothing else of vegeta is called, and the linker leaves
// out what nobody calls; it costs a first build from empty caches 3 of 15 MB, and a
// tenth of its time.
//
// Its script declares one name; exported, that is a module like the others.
func uPlot() map[string][]byte {
	return map[string][]byte{
		"uPlot.js":      append(readUPlot("uPlot.min.js"), "\nexport { uPlot };\n"...),
		"uPlot.min.css": readUPlot("uPlot.min.css"),
	}
}

func readUPlot(name string) []byte {
	f, err := plot.Assets.Open(name)
	if err != nil {
		panic(err) // compiled in: it is there, or built with vegeta's tag "dev"
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		panic(err)
	}
	return content
}
