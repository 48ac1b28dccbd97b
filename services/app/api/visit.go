package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"oneserver/app"
	"oneserver/app/auth"
	"oneserver/app/timing"
)

// visit holds what the connection and the headers of a request say about it.
type visit struct {
	id         string
	client     netip.Addr
	hidden     bool // whether client is an address of the stack, the same for all visitors, instead of the visitor's
	https      bool
	webVersion string
	token      app.Digest // of the session's token; zero if there is no well-formed one
	cookie     bool       // whether there is a session cookie, well-formed or not
	device     app.Digest // of the token that identifies a browser that has signed in before; zero if there is none
	timing     *timing.Record
}

type visitKey struct{}

func visitOf(c *gin.Context) *visit {
	return c.Request.Context().Value(visitKey{}).(*visit)
}

// visit returns what r says about its client. It trusts the headers that a proxy adds only if the peer is TrustedProxy.
func (s *Server) visit(r *http.Request) *visit {
	v := new(visit)
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.client = peer.Addr().Unmap()
	}
	if s.TrustedProxy.IsValid() && v.client == s.TrustedProxy {
		if client, err := netip.ParseAddr(r.Header.Get("X-Forwarded-For")); err == nil {
			v.client = client.Unmap()
		}
		v.https = r.Header.Get("X-Forwarded-Proto") == "https"
		v.webVersion = r.Header.Get("X-Web-Version")
		if id := r.Header.Get(requestIDHeader); wellFormedID(id) {
			v.id = id
		}
	}
	v.hidden = v.client.IsLoopback() || s.OwnNetwork.IsValid() && s.OwnNetwork.Contains(v.client)
	if v.id == "" {
		v.id = newID()
	}
	if r.Header["Cookie"] != nil {
		cookies := r.CookiesNamed(v.name("session"))
		v.cookie = len(cookies) > 0
		if len(cookies) == 1 { // if there are two, it is unknown which is the site's
			v.token, _ = auth.TokenHash(cookies[0].Value)
		}
		if devices := r.CookiesNamed(v.name("device")); len(devices) == 1 {
			v.device, _ = auth.TokenHash(devices[0].Value)
		}
	}
	return v
}

// with returns ctx with v in it.
func (v *visit) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// wellFormedID reports whether id is safe in a log, as Nginx's own ids are.
func wellFormedID(id string) bool {
	if len(id) < 1 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// network returns the part of the client's address that distinguishes visitors. With IPv6 that is the /64 of a
// household.
func (v *visit) network() string {
	if v.client.Is6() {
		if prefix, err := v.client.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return v.client.String()
}
