package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"oneserver/ctl/internal/abuse/attack"
	"oneserver/ctl/internal/docker"
	"oneserver/ctl/internal/stack"
	"oneserver/ctl/internal/wait"
)

const (
	project  = "oneserver-abuse"
	domain   = "foobar.com" // the same for every copy
	subnet   = "172.28.9"
	posts    = 20_000 // enough for a search and a page to cost something
	textADay = 100    // MB; the copy's TEXT_A_DAY
)

// nobodysHash has the form of the application's password hashes, but consists of random bytes.
const nobodysHash = "$argon2id$v=19$m=19456,t=2,p=1$MvwZ/alSXvqQe7NU8vvRXA$gNRzLfhwpVjxt6F2ruAeWIiTvoat5qqR1wvAIFGYWek"

// site is the copy of the stack that is abused.
type site struct {
	*stack.Stack
	meters docker.Meters
	visits atomic.Int32 // how many visitors' containers have been started; each had its own address

	held       int     // how many times beside has been called
	calm       float64 // processors that the stack uses for a visitor alone
	perRequest float64 // seconds of a processor that an allowed request takes
	controls   []Control
}

// describe returns the copy's description without starting it.
func describe(of *stack.Stack) (*site, error) {
	copied, err := of.Copy(project, "ctl/internal/abuse/compose.yaml", "SUBNET="+subnet, "TRUSTED_PROXIES="+subnet+".64/26",
		"TEXT_A_DAY="+strconv.Itoa(textADay))
	return &site{Stack: copied, meters: docker.Meters{}}, err
}

// start starts the copy and fills it.
func (s *site) start(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	if err := s.up(limited); err != nil {
		return err
	}
	db := s.Database()
	db.Schema, db.Limit = "foobar", 4*time.Minute
	_, err := db.SQL(limited, fmt.Sprintf(`SET sql_log_bin = 0, cte_max_recursion_depth = 1000000;
INSERT INTO users (id, email, name, password_hash, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
SELECT 1000000 + i, CONCAT('author', i, '@example.com'), CONCAT('Author ', i), '%s', UTC_TIMESTAMP(6) FROM n;
INSERT INTO posts (id, title, body, created_at, user_id)
WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT i, CONCAT('Post number', i), CONCAT('What is written here is one of many posts with these words: number', i, '. ', REPEAT('And more of it. ', i %% 30)),
  TIMESTAMP'2020-01-01 00:00:00' + INTERVAL i SECOND, 1000001 + i %% 1000 FROM n;
INSERT INTO post_search (post_id, words, grams)
SELECT id, CONCAT(title, ' What is written here one of many posts with these words: number', id, ' And more it'), '' FROM posts WHERE id BETWEEN 100 AND %[2]d;`, nobodysHash, posts))
	if err != nil {
		return fmt.Errorf("fill the copy: %w", err)
	}
	containers, err := s.containers(ctx)
	if err != nil {
		return err
	}
	for _, one := range containers {
		if err := s.meters.Add(ctx, s.CLI, one); err != nil {
			return err
		}
	}
	return nil
}

// up starts the services and waits until all are healthy. Compose gives up as soon as one is unhealthy, but on a busy
// machine the database may just need more time to create its files.
func (s *site) up(ctx context.Context) error {
	return wait.Until(ctx, 4*time.Minute, 3*time.Second, func(ctx context.Context) error {
		_, err := s.Compose(ctx, "up", "--detach", "--wait", "dns", "web", "app")
		return err
	})
}

// remove removes the copy with its data, even if the run was interrupted.
func (s *site) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	errs := []error{s.meters.Close()}
	// Compose did not start the visitors' containers, so it does not remove them.
	visitors, err := s.List(ctx, "--all", "--filter", "label="+project)
	if errs = append(errs, err); len(visitors) > 0 {
		_, err := s.Output(ctx, append([]string{"rm", "--force"}, docker.IDs(visitors)...)...)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.Remove())...)
}

// containers returns the containers of the copy's services.
func (s *site) containers(ctx context.Context) (map[string]docker.Container, error) {
	list, err := s.Containers(ctx)
	if err != nil {
		return nil, err
	}
	byService := map[string]docker.Container{}
	for _, one := range list {
		if slices.Contains(stack.Services, one.Service()) {
			byService[one.Service()] = one
		}
	}
	if len(byService) != len(stack.Services) {
		return nil, fmt.Errorf("the copy has %d of its four services", len(byService))
	}
	return byService, nil
}

// cpu returns the processor time that the four services have used so far.
func (s *site) cpu() (sum time.Duration, err error) {
	used, err := s.meters.Read()
	for _, one := range used {
		sum += one.CPU
	}
	return sum, err
}

// disk returns the size of the database's files, not counting the redo log, the undo logs and temporary tables, which are
// reused.
func (s *site) disk(ctx context.Context) (int64, error) {
	// A file may disappear during the count.
	out, err := s.Compose(ctx, "exec", "--no-TTY", "db", "sh", "-c",
		`du -sk --exclude='#innodb_redo' --exclude='#innodb_temp' --exclude='ibtmp*' --exclude='undo_*' /var/lib/mysql 2>/dev/null || true`)
	if err != nil {
		return 0, err
	}
	size, _, _ := strings.Cut(out, "\t")
	kB, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the size of the database: %q", out)
	}
	return kB << 10, nil
}

// play runs a visitor in its own container.
func (s *site) play(ctx context.Context, who, from, victim string, length time.Duration, rate float64) (attack.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, length+time.Minute)
	defer cancel()
	// The addresses that the copy trusts are .64 to .127; .80 is web's.
	address := fmt.Sprintf("%s.%d", subnet, 81+s.visits.Add(1)%46)
	out, err := s.Output(ctx, slices.Concat([]string{"run", "--rm"}, docker.Confined, []string{"--label", project, "--network", project + "_default", "--ip", address,
		"--memory", "768m", "--pids-limit", "256", "oneserver-abuse",
		"-web", subnet + ".80:80", "-dns", subnet + ".53:53", "-host", "www." + domain, "-from", from, "-victim", victim, "-posts", strconv.Itoa(posts),
		"-for", length.String(), "-rate", strconv.FormatFloat(rate, 'f', 1, 64), who})...)
	if err != nil {
		return attack.Result{}, fmt.Errorf("%s: %w", who, err)
	}
	var result attack.Result
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return attack.Result{}, fmt.Errorf("%s: %w: %q", who, err, out)
	}
	return result, nil
}
