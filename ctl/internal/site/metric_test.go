package site

import "testing"

func TestMetricsAreAddedUp(t *testing.T) {
	t.Parallel()
	const text = `# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{route="/api/v1/posts",status="200",le="0.1"} 7
http_request_duration_seconds_count{route="/api/v1/posts",status="200"} 40
http_request_duration_seconds_count{route="/api/v1/posts",status="503"} 2
http_request_duration_seconds_count{route="/api/v1/posts/:id",status="200"} 1000
`
	got, err := Metric(text, "http_request_duration_seconds_count", `route="/api/v1/posts"`)
	if err != nil || got != 42 {
		t.Errorf("it comes to %v, %v; want 42", got, err)
	}
	const one = "go_sql_wait_duration_seconds_total{db_name=\"foobar\"} 1.5\nup 1\n"
	for name, want := range map[string]float64{"go_sql_wait_duration_seconds_total": 1.5, "up": 1} {
		if got, err := Metric(one, name, ""); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", name, got, err, want)
		}
	}
	if got, err := Metric(one, "go_sql", ""); err == nil {
		t.Errorf("a metric that is not there is %v", got)
	}
	if _, err := Metric(text, "other", ""); err == nil {
		t.Error("a metric that is not there is no error")
	}
}
