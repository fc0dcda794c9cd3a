// Package configs has the configuration that is installed, for the program to print
// and to draw up the schema from. It refuses to know what its keys mean.
package configs

import _ "embed"

// Example is gateway.yaml: every key, explained by the comment above it.
//
//go:embed gateway.yaml
var Example []byte
