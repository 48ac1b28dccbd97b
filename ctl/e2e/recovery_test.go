package e2e

import (
	"fmt"
	"testing"
	"time"
)

func TestDataSurvivesDownAndUp(t *testing.T) {
	newScenario(t, site).
		When("a post is written", insertPost("Written before down")).
		When("docker compose down", compose("down")).
		When("docker compose up", compose("up", "--detach", "--wait")).
		Then(10*time.Second, resolves(), servesPage(), showsPost("Written before down"))
}

func TestAStoppedStackStartsAgainWithItsData(t *testing.T) {
	newScenario(t, site).
		When("a post is written", insertPost("Written before stop")).
		When("docker compose stop", compose("stop")).
		When("docker compose up", compose("up", "--detach", "--wait")).
		Then(5*time.Second, showsPost("Written before stop"))
}

// Each service comes back by itself after a kill -9 of its main process, with everything written before. The time limits
// allow for an engine that is slow to restart a container, such as Engine 20.10; the log shows how long it took.
func TestKilledServicesComeBackByThemselves(t *testing.T) {
	tests := []struct {
		service string
		within  time.Duration
		answers func(post string) check
	}{
		{"dns", 15 * time.Second, func(string) check { return resolves() }},
		{"web", 15 * time.Second, func(string) check { return servesPage() }},
		{"app", 15 * time.Second, showsPost},
		{"db", 30 * time.Second, showsPost},
	}
	for _, test := range tests {
		t.Run(test.service, func(t *testing.T) {
			post := fmt.Sprintf("Written before %s was killed", test.service)
			killed := mainProcess(t, test.service)
			newScenario(t, site).
				When("a post is written", insertPost(post)).
				When(test.service+" is killed", killNine(test.service)).
				Then(test.within, test.answers(post)).
				Then(30*time.Second, healthy("dns"), healthy("web"), healthy("app"), healthy("db"))
			if now := mainProcess(t, test.service); now == killed {
				t.Errorf("%s is still process %d: it was not killed", test.service, now)
			}
		})
	}
}
