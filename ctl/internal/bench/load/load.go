// Package load is the protocol between `oneserver bench` and the container that generates the load: one Job per line on its
// standard input, one Result per line on its standard output.
package load

import "time"

// A Job is a request to send: once, or over a number of connections for some time.
type Job struct {
	Method      string            // GET if empty
	URL         string            // what to request, and from which server
	Host        string            // the name to request it under; that of the URL if empty
	Header      map[string]string // the other fields
	Body        string            // as JSON
	Speak       Protocol          // HTTP1 if empty
	Authority   []byte            // over TLS: the PEM of the authority to trust
	Connections int               // kept alive, each with one request at a time
	For         time.Duration     // 0 asks once and returns the body
	Rate        float64           // requests a second; 0 sends each as soon as a connection is free
	Numbers     int64             // how many numbers there are (see Number); 0: no limit
	Moments     int               // how often all connections ask at the same moment, each time with the next number
}

// Number is a placeholder for a number in a Job's Header and Body. Each request gets its own: from 1 to Numbers in turn or,
// without a limit, a unique one.
const Number = "$n"

// A Protocol is what a Job's connections speak.
type Protocol string

const (
	HTTP1     Protocol = ""
	HTTP2     Protocol = "HTTP/2"    // over TLS, on a connection that each visitor keeps
	Handshake Protocol = "handshake" // repeated TLS handshakes and nothing else: no request is sent
	DNS       Protocol = "DNS"       // over UDP: asks the URL's host for the address of the name in the URL's path
)

// A Result is the outcome of a Job.
type Result struct {
	Requests int           // every one answered with success and, if requests only read, with the same length
	Elapsed  time.Duration // from the first request to the last answer
	Half     time.Duration // if the Job has a Rate or Moments: half of the answers came within this time after the request was due
	P99      time.Duration // and 99 of 100 within this time
	Size     int           // the size of an answer's body, in bytes
	Body     []byte        // the answer's body, if the Job asked once
	Error    string        // why the Job ended early; empty if it did not
}

// PerSecond returns how many requests were answered per second.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }
