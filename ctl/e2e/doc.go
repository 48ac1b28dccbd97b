// Package e2e holds the integration tests. They start a second copy of the stack, with its own project name, ports and
// subnet, and look at it only from outside, through DNS, HTTP, a browser and the Docker Engine.
//
//	go test ./e2e                          # everything
//	go test ./e2e -run TestDNS -keep       # a few tests; leave the copy running to look at it
//
// A test is a sentence: its name says what must hold, its steps read as prose (scenario_test.go), and its checks come from
// one small vocabulary (checks_test.go). Where a test plays a visitor, it does so over HTTP (visitor_test.go) or in a
// browser (browser_test.go). No test sleeps in the hope that something has happened by then: each check must come true
// within a time limit.
package e2e
