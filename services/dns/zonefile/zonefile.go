// Package zonefile is a CoreDNS plugin that serves one zone from a zone file (RFC 1035, section 5) with variables for
// the addresses, so that every view of the zone comes from the same file:
//
//	zonefile FILE {
//		NAME VALUE
//		public MARKER PORT
//	}
//
// In FILE, {$NAME} stands for VALUE, and {$SERIAL} for the time at which FILE was read. The serial therefore grows with
// every change to FILE, to a VALUE or to the Corefile. The zone is that of the server block. FILE is checked every
// second. New text is served immediately if it is a valid zone; otherwise it is reported and ignored.
//
// The file MARKER exists while https is served with a public authority's certificate. The zone then has two more kinds
// of record. If PORT is 443, an HTTPS record (RFC 9460) tells browsers to begin with https, and which versions of HTTP
// they can use; with any other port, browsers would not ask for that record. CAA records (RFC 8659) allow the
// authorities that MARKER names, one per line after the first line, and forbid all others.
//
// The lookup is that of CoreDNS' file plugin. The plugin itself is not used because it has no variables, needs a serial
// that is increased by hand, starts without a zone if the file is missing, and, when it denies the type behind a CNAME
// (AAAA of www), omits the SOA record that lets a resolver cache the denial.
package zonefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/file/tree"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// interval is the time between two checks of the file.
const interval = time.Second

var log = clog.NewWithPlugin(Name)

// Zonefile answers for one zone. It is the last in its plugin chain, because it has an answer to everything.
type Zonefile struct {
	origin string            // the zone's name, with the final dot
	path   string            // of the zone file
	values map[string]string // of the variables in it
	marker string            // the file that marks a public certificate; empty if none is configured
	port   string            // on which visitors reach https
	view   string            // the name of the view that it serves, for the log

	zone atomic.Pointer[file.Zone] // the zone that is served
	seen []byte                    // the text at the last check, valid or not
}

// Name implements plugin.Handler.
func (z *Zonefile) Name() string { return Name }

// ServeDNS implements plugin.Handler.
func (z *Zonefile) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if r.Opcode != dns.OpcodeQuery {
		return dns.RcodeNotImplemented, nil
	}
	state := request.Request{W: w, Req: r}
	asked := state.QType()
	switch asked {
	case dns.TypeAXFR, dns.TypeIXFR:
		return dns.RcodeRefused, nil
	case dns.TypeANY:
		// A query for HINFO finds out whether the name exists and whether it is an alias.
		state = state.NewWithQuestion(state.Name(), dns.TypeHINFO)
	}
	zone := z.zone.Load()
	answer, authority, additional, result := zone.Lookup(ctx, state, state.Name())

	m := new(dns.Msg).SetReply(r)
	m.Authoritative = true
	switch result {
	case file.Success:
		switch {
		case len(answer) == 0: // a name that has no records itself but has names below it: authority is the SOA
		case z.endsInAlias(answer, asked):
			authority = []dns.RR{zone.SOA} // RFC 2308, section 2.2
		default:
			authority = nil // it would only repeat the NS records, which nobody needs
		}
	case file.NoData:
		if asked == dns.TypeANY { // RFC 8482, section 4.2
			hdr := dns.RR_Header{Name: state.Name(), Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: zone.SOA.Hdr.Ttl}
			answer, authority = []dns.RR{&dns.HINFO{Hdr: hdr, Cpu: "RFC8482"}}, nil
		}
	case file.NameError:
		m.Rcode = dns.RcodeNameError
	case file.Delegation:
		m.Authoritative = len(answer) > 0
	case file.ServerFailure:
		return dns.RcodeServerFailure, plugin.Error(Name, errors.New("the zone has a loop of CNAME records"))
	}
	m.Answer, m.Ns, m.Extra = inCaseOf(state.QName(), answer), authority, additional
	w.WriteMsg(m) // fails if the client is gone, which is not the server's fault
	return dns.RcodeSuccess, nil
}

// endsInAlias reports whether answer leads to a name in this zone that has no record of the type asked for. (A name in
// another zone may have one, which this server cannot know.)
func (z *Zonefile) endsInAlias(answer []dns.RR, asked uint16) bool {
	alias, ok := answer[len(answer)-1].(*dns.CNAME)
	return ok && asked != dns.TypeCNAME && asked != dns.TypeANY && dns.IsSubDomain(z.origin, alias.Target)
}

// inCaseOf returns the records with their name spelt in the upper and lower case of the question, which resolvers vary
// as a guard against forged answers (draft-vixie-dnsext-dns0x20).
func inCaseOf(asked string, records []dns.RR) []dns.RR {
	out := make([]dns.RR, len(records))
	for i, record := range records {
		if name := record.Header().Name; name != asked && strings.EqualFold(name, asked) {
			record = dns.Copy(record) // all queries share the record itself
			record.Header().Name = asked
		}
		out[i] = record
	}
	return out
}

// watch checks the file until stop is closed.
func (z *Zonefile) watch(stop <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		before := z.zone.Load()
		if err := z.load(); err != nil {
			log.Errorf("%s keeps the zone that it has: %v", z, err)
		} else if after := z.zone.Load(); after != before {
			log.Infof("%s has a new zone, serial %d", z, after.SOA.Serial)
		}
	}
}

// String names the server for the log.
func (z *Zonefile) String() string {
	if z.view == "" {
		return z.origin
	}
	return z.origin + " (" + z.view + ")"
}

// load serves the file if it has changed since the last check. It reports an invalid text or an unreadable file only
// once.
func (z *Zonefile) load() error {
	text, err := os.ReadFile(z.path)
	if err != nil {
		text = []byte(err.Error())
	}
	if err == nil {
		text = append(text, z.publicRecords()...)
	}
	if bytes.Equal(text, z.seen) {
		return nil
	}
	z.seen = text
	if err != nil {
		return err
	}
	serial := time.Now().Unix()
	if served := z.zone.Load(); served != nil {
		serial = max(serial, int64(served.SOA.Serial)+1) // two changes in a second, or a clock that was set back
	}
	zone, err := z.parse(string(text), serial)
	if err != nil {
		return err
	}
	z.zone.Store(zone)
	return nil
}

// authorityForm matches the names that a CAA record may contain.
var authorityForm = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

// publicRecords returns the records that come with a public certificate, or nothing if there is none.
func (z *Zonefile) publicRecords() []byte {
	if z.marker == "" {
		return nil
	}
	text, err := os.ReadFile(z.marker)
	if err != nil {
		return nil // the certificate is not public, or the file cannot be read: announce nothing
	}
	var records bytes.Buffer
	if z.port == "443" {
		fmt.Fprintf(&records, "\n%s HTTPS 1 . alpn=\"h3,h2\"\n", z.origin)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i > 0 && authorityForm.MatchString(line) {
			fmt.Fprintf(&records, "\n%s CAA 0 issue %q\n", z.origin, line)
		}
	}
	return records.Bytes()
}

// parse fills in the variables of text and reads it as the zone.
func (z *Zonefile) parse(text string, serial int64) (*file.Zone, error) {
	pairs := []string{"{$SERIAL}", strconv.FormatUint(uint64(serial)&math.MaxUint32, 10)} // RFC 1982: it wraps
	for name, value := range z.values {
		pairs = append(pairs, "{$"+name+"}", value)
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	zone, err := file.Parse(strings.NewReader(text), z.origin, z.path, -1)
	if err != nil {
		return nil, err
	}
	zone.Upstream = upstream.New() // looks up the target of a CNAME
	return zone, z.verify(zone)
}

// verify refuses zones that the parser accepts but no name server should serve.
func (z *Zonefile) verify(zone *file.Zone) error {
	if len(zone.NS) == 0 {
		return fmt.Errorf("%s: %s has no NS record", z.path, z.origin)
	}
	return zone.Walk(func(name *tree.Elem, records map[uint16][]dns.RR) error {
		aliases := len(records[dns.TypeCNAME])
		switch {
		case !dns.IsSubDomain(z.origin, name.Name()):
			return fmt.Errorf("%s: %s is not in %s; write a relative name, without the final dot", z.path, name.Name(), z.origin)
		case aliases > 1, aliases == 1 && (len(records) > 1 || name.Name() == z.origin): // RFC 1034, section 3.6.2
			return fmt.Errorf("%s: %s has a CNAME record and others beside it", z.path, name.Name())
		}
		return nil
	})
}
