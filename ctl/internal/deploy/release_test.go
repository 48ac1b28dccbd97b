package deploy

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"oneserver/ctl/internal/stack"
)

func TestTheOldReleaseIsNotSaidToServeIfTheNewOneCouldNotBeRemoved(t *testing.T) {
	standIn(t, theSite+`wait*) echo 0 ;;
exec*) echo "web is not running" >&2; exit 1 ;;
esac`)
	const serves = "is serving as before"
	for name, test := range map[string]struct {
		work func(*release, context.Context) error
		says bool
	}{
		"nothing had begun": {func(*release, context.Context) error { return errors.New("no") }, true},
		"web has ended":     {(*release).replace, false},
	} {
		s, err := open(t.Context(), stack.New(""), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		r := &release{site: s}
		if r.old, err = r.Containers(t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		err = r.settle(t.Context(), func() error { return test.work(r, t.Context()) })
		if err == nil || strings.Contains(err.Error(), serves) != test.says {
			t.Errorf("%s: it says %v", name, err)
		}
	}
}

func TestATrialIsJudgedByWhatTheNewReleaseDoes(t *testing.T) {
	t.Parallel()
	const mine, visitor = "oneserver-trial-X", "curl/8"
	line := func(agent, method, uri, addresses, statuses string) string {
		return `{"method":"` + method + `","uri":"` + uri + `","status":200,"upstream_addr":"` + addresses + `","upstream_status":"` + statuses + `","user_agent":"` + agent + "\"}\n"
	}
	const first, second, old = "172.28.0.131:8080", "172.28.0.132:8080", "172.28.0.130:8080"
	well := func(replica string) string {
		return line(mine, "GET", "/api/v1/posts", replica, "200") + line(mine, "GET", "/api/openapi.json", replica, "200") + line(mine, "POST", "/api/v1/posts", replica, "401")
	}
	both := well(first) + well(second)
	for _, test := range []struct {
		name, log string
		missing   string // a part of what is still missing
		bad       string
	}{
		{"nobody came", "2026/11/25 [notice] signal process started\n", "GET /api/v1/posts at 172.28.0.131", ""},
		{"all is well", both, "", ""},
		{"one was never asked", well(first), "POST /api/v1/posts at 172.28.0.132", ""},
		{"what visitors ask proves nothing", line(visitor, "GET", "/api/v1/posts", first, "200"), "GET /api/v1/posts at 172.28.0.131", ""},
		{"what the old one answers proves nothing", well(old), "GET /api/v1/posts at 172.28.0.131", ""},
		{"an answer from the wrong release", both + line(mine, "POST", "/api/v1/posts", first, "201"), "", "answered with 201"},
		{"it fails ours", line(mine, "POST", "/api/v1/posts", first+", "+old, "500, 401"), "", "POST /api/v1/posts is answered with 500"},
		{"it is busy, and then not", line(mine, "GET", "/api/v1/posts", first+", "+old, "503, 200") + both, "", ""},
		{"it is always busy", line(mine, "GET", "/api/v1/posts", first, "503") + well(second), "GET /api/v1/posts at 172.28.0.131", ""},
		{"visitors make it busy", both + line(visitor, "PUT", "/api/v1/session", first+", "+old, "503, 200") + line(visitor, "PUT", "/api/v1/session", first, "503"), "", ""},
		{"a visitor is failed by both", both + line(visitor, "GET", "/api/v1/posts/1", first+", "+old, "500, 500"), "", ""},
		{"a visitor is failed by it alone", both + line(visitor, "POST", "/api/v1/posts", first+", "+old, "500, 201"), "", "POST /api/v1/posts is answered with 500"},
		{"the old one failed", both + line(visitor, "GET", "/api/v1/posts", old+", "+first, "502, 200"), "", ""},
		{"two requests of one", both + line(visitor, "GET", "/api/v1/posts", old+" : "+first+", "+old, "200 : 500, 200"), "", "answered with 500"},
		{"the visitor left", both + line(visitor, "GET", "/api/v1/posts", first, "-"), "", ""},
		{"a visitor forges the log", both + line(`x\",\"upstream_addr\":\"`+first+`\",\"upstream_status\":\"500`, "GET", "/", "", ""), "", ""},
	} {
		v := verdict{agent: mine, replicas: at("172.28.0.131", "172.28.0.132")}
		var bad *failure
		for one := range strings.Lines(test.log) {
			if bad = v.read(one); bad != nil {
				break
			}
		}
		if (bad == nil) != (test.bad == "") || bad != nil && (!strings.Contains(bad.what, test.bad) || bad.replica != v.replicas[0]) {
			t.Errorf("%s: %+v; want %q", test.name, bad, test.bad)
		}
		if bad == nil && (v.complete() != (test.missing == "") || !strings.Contains(v.missing(), test.missing)) {
			t.Errorf("%s: it waits for %q; want %q", test.name, v.missing(), test.missing)
		}
	}
}
