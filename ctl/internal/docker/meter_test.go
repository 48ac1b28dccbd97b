package docker

import (
	"testing"
	"time"
)

// A service may have several containers: replicas.
func TestWhatAServiceUsesIsTheSumOverItsContainers(t *testing.T) {
	cli := fake(t, `body='{"cpu_stats": {"cpu_usage": {"total_usage": 1500000000}}, "memory_stats": {"usage": 70, "stats": {"inactive_file": 20}}}'
while read -r line; do case "$line" in GET*) printf 'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' ${#body} "$body" ;; esac; done`)
	meters := Meters{}
	for id, service := range map[string]string{"a1": "app", "a2": "app", "d": "db"} {
		c := Container{ID: id}
		c.Config.Labels = map[string]string{"com.docker.compose.service": service}
		if err := meters.Add(t.Context(), cli, c); err != nil {
			t.Fatal(err)
		}
	}
	used, err := meters.Read()
	if err != nil || used["app"] != (Usage{3 * time.Second, 100}) || used["db"] != (Usage{1500 * time.Millisecond, 50}) {
		t.Errorf("they use %v, %v", used, err)
	}
	if err := meters.Close(); err != nil || len(meters) > 0 {
		t.Errorf("%v, and %d are left", err, len(meters))
	}
}
