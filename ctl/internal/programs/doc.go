// Package programs finds out which programs our files call in the images of others, so that a test can hold them against
// what those images are known to have (offline/*/programs).
package programs
