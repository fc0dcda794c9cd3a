package config

import "sensorgateway/cmd/gateway/internal/config/syntax"

// Read reads and checks the configuration file at path. What is wrong
// with the file or its content is a [Error].
func Read(path string, chips map[string]Chip) (*Config, error) {
	data, err := syntax.ReadFile(path)
	if err != nil {
		return nil, Error{{File: path, Text: err.Error()}}
	}
	c, err := Parse(path, data, chips)
	if err != nil {
		return nil, err
	}
	c.File = path
	return c, nil
}
