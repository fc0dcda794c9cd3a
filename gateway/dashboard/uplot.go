package dashboard

import "embed"

// uplot has uPlot 1.6.32, which draws the charts: 51 KB, no dependency, fast enough for
// ten hertz on a Pi. Its files are here byte for byte as its author published them (the
// tests know their sums): they are published for JavaScript's package manager only, which
// a Go build should not need.
//
//go:embed uplot/uPlot.min.js uplot/uPlot.min.css
var uplot embed.FS

// uPlot returns its files as they are served. Its script declares one name; with an export of
// that name it is a module like the others.
func uPlot() map[string][]byte {
	return map[string][]byte{
		"uPlot.js":      append(readUPlot("uPlot.min.js"), "\nexport { uPlot };\n"...),
		"uPlot.min.css": readUPlot("uPlot.min.css"),
	}
}

func readUPlot(name string) []byte {
	content, err := uplot.ReadFile("uplot/" + name)
	if err != nil {
		panic(err) // compiled in: it is there
	}
	return expand(content)
}
