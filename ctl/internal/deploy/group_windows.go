package deploy

import "os/exec"

// ownGroup does nothing: a console tells all that runs on it of Ctrl-C, and its commands can only be killed.
func ownGroup(*exec.Cmd) {}
