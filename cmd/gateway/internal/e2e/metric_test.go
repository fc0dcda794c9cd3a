package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// metric returns one of a gateway's metrics.
func metric(t testing.TB, wsURL, name string) int {
	t.Helper()
	n, err := askMetric(wsURL, name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func askMetric(wsURL, name string) (int, error) {
	return askMetricWith(&http.Client{Timeout: patience}, wsURL, name)
}

func askMetricWith(c *http.Client, wsURL, name string) (int, error) {
	response, err := c.Get("http" + strings.TrimPrefix(wsURL, "ws") + "metrics")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("no %s in /metrics", name)
}
