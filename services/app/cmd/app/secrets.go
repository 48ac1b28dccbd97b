package main

import (
	"fmt"
	"io"
	"strings"

	"oneserver/app/secrets"
)

// makeSecrets makes the stack's secrets in dir and reports in one line which ones it made.
func makeSecrets(dir string, stdout io.Writer) error {
	made, err := secrets.Make(dir, secrets.Files)
	if err != nil {
		return err
	}
	if len(made) == 0 {
		fmt.Fprintf(stdout, "secrets: all %d are there\n", len(secrets.Files))
		return nil
	}
	fmt.Fprintf(stdout, "secrets: made %s\n", strings.Join(made, ", "))
	return nil
}
