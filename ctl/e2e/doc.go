// Package e2e holds the integration tests: they start a second copy of the stack, under a project name, ports and a
// subnet of its own, and look at it only from outside, through DNS, HTTP, a browser and the Docker Engine.
//
//	go test ./e2e                          # everything
//	go test ./e2e -run TestDNS -keep       # one promise; leave the copy standing to look at it
//
// A test is a sentence: its name says what must hold, its steps read as prose (scenario_test.go), and what it looks
// for comes from one small vocabulary (checks_test.go). Where a test plays a visitor, it does so over HTTP
// (visitor_test.go) or in a browser (browser_test.go). Nothing sleeps: a check must come true within a time.
package e2e
