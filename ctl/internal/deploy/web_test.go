package deploy

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func realConf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsPinnedCanBeReadAndTakenBack(t *testing.T) {
	t.Parallel()
	conf := realConf(t)
	last := conf
	for _, to := range []routing{
		{servers: []string{"172.28.0.130"}},
		{servers: []string{"172.28.0.131", "172.28.0.132"}, backups: []string{"172.28.0.130"}},
		{servers: []string{"172.28.0.131"}},
	} {
		pinned, err := pin(last, to)
		if err != nil {
			t.Fatal(err)
		}
		if got, found := routingOf(pinned); !found || !reflect.DeepEqual(got, to) {
			t.Errorf("pinned to %+v, read %+v, %t", to, got, found)
		}
		if unpin(pinned) != conf {
			t.Errorf("%+v is not taken back whole", to)
		}
		trial := strings.Contains(pinned, "non_idempotent http_500 http_502 http_503 http_504;")
		if trial != (len(to.backups) > 0) {
			t.Errorf("%+v: failures are passed on: %t", to, trial)
		}
		if !strings.Contains(pinned, "\n        server app:8080 resolve max_fails=0 down;") {
			t.Errorf("%+v: the name is gone", to)
		}
		last = pinned
	}
	if _, found := routingOf(conf); found || unpin(conf) != conf {
		t.Error("the repository's own is taken for pinned")
	}
}

func TestAConfigurationWithoutTheApplicationIsRefused(t *testing.T) {
	t.Parallel()
	conf := strings.ReplaceAll(realConf(t), "server app:8080", "server other:8080")
	if _, err := pin(conf, routing{servers: []string{"172.28.0.130"}}); err == nil || !strings.Contains(err.Error(), "server app:8080 resolve") {
		t.Errorf("it says %v", err)
	}
}
