// Package programs finds out which programs our files call in images that others publish, so that a test can compare them
// with the programs that those images are known to have (offline/*/programs).
package programs
