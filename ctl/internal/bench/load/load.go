// Package load is the protocol between `oneserver bench` and the container that generates the load: one Job per line on its
// standard input, one Result per line on its standard output.
package load

import "time"

// A Job is an address to request: once, or over a number of connections for some time.
type Job struct {
	URL         string        // what to request, and from which server
	Host        string        // the name to request it under; that of the URL if empty
	Cookie      string        // the Cookie header; none if empty
	Speak       Protocol      // HTTP1 if empty
	Authority   []byte        // over TLS: the PEM of the authority to trust
	Connections int           // kept alive, each with one request at a time
	For         time.Duration // 0 asks once and returns the body
}

// A Protocol is what a Job's connections speak.
type Protocol string

const (
	HTTP1     Protocol = ""
	HTTP2     Protocol = "HTTP/2"    // over TLS, on a connection that each visitor keeps
	Handshake Protocol = "handshake" // repeated TLS handshakes and nothing else: no request is sent
)

// A Result is the outcome of a Job.
type Result struct {
	Requests int           // every one answered with 200 and with the same length
	Elapsed  time.Duration // from the first request to the last answer
	Size     int           // of an answer's body in bytes
	Body     []byte        // if the Job asked once
	Error    string        // why it ended early; empty if it did not
}

// Rate is how many requests were answered per second.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }
