package main

import (
	"fmt"

	"onsite/pipeline/verify"
)

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (c *versionCmd) Run(e *env) error {
	if c.JSON {
		return e.printJSON(map[string]string{"onsite": verify.Version})
	}
	_, err := fmt.Fprintln(e.out, verify.Version)
	return err
}
