package api

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"oneserver/app"
	"oneserver/app/auth"
	"oneserver/app/journey"
	"oneserver/app/timing"
)

// fake implements all the stores in memory. Each method first calls hit if it is set, and fails with err if that is
// set.
type fake struct {
	err error
	hit func()

	full bool // whether there is no room for new accounts

	searching func() // called by a search, if there is one

	mu       sync.Mutex
	posts    []app.Post // by id - 1; ID 0 if deleted
	users    []app.User // by id - 1; ID 0 if deleted
	sessions map[app.Digest]uint64
	browsers map[app.Digest]string   // of the sessions
	devices  map[app.Digest][]uint64 // users by token
	done     map[app.Digest]done
	taken    map[string]int // attempts by bucket
	now      time.Duration  // since the first attempt; time stands still unless a test advances it
	arrivals map[string]time.Duration
	worn     bool // whether every bucket is full
	asked    int  // how often any method was called
}

type done struct {
	request app.Digest
	post    app.Post
}

var written = time.Date(2026, 11, 23, 11, 0, 0, 5000, time.FixedZone("", 3600))

// newFake returns a fake with n posts by the site itself.
func newFake(n int) *fake {
	f := &fake{
		sessions: map[app.Digest]uint64{}, browsers: map[app.Digest]string{}, devices: map[app.Digest][]uint64{},
		done: map[app.Digest]done{}, taken: map[string]int{}, arrivals: map[string]time.Duration{},
	}
	for range n {
		f.add(0, app.Draft{Title: "a < b & c", Body: "text"})
	}
	return f
}

func (f *fake) add(author uint64, d app.Draft) app.Post {
	p := app.Post{ID: uint64(len(f.posts) + 1), AuthorID: author, Title: d.Title, Body: d.Body, CreatedAt: written, UpdatedAt: written}
	if author != 0 {
		p.Author = f.users[author-1].Name
	}
	f.posts = append(f.posts, p)
	return p
}

func (f *fake) begin() error {
	if f.hit != nil {
		f.hit()
	}
	f.mu.Lock()
	f.asked++
	return f.err
}

func missingPost() error { return &app.Error{Code: app.NotFound, Message: "There is no such post."} }

func (f *fake) List(_ context.Context, page app.Page) (posts []app.Post, more bool, err error) {
	return f.containing("", page)
}

func (f *fake) Search(_ context.Context, text string, page app.Page) (posts []app.Post, more bool, err error) {
	if f.searching != nil {
		f.searching()
	}
	return f.containing(text, page)
}

func (f *fake) containing(text string, page app.Page) (posts []app.Post, more bool, err error) {
	err = f.begin()
	defer f.mu.Unlock()
	id := uint64(len(f.posts))
	if page.Before > 0 {
		id = min(id, page.Before-1)
	}
	for ; id > 0 && len(posts) < page.Size; id-- {
		if p := f.posts[id-1]; p.ID != 0 && strings.Contains(p.Title+p.Body, text) {
			posts = append(posts, p)
		}
	}
	return posts, id > 0, err
}

func (f *fake) Get(_ context.Context, id uint64) (app.Post, error) {
	err := f.begin()
	defer f.mu.Unlock()
	if err == nil && (id > uint64(len(f.posts)) || f.posts[id-1].ID == 0) {
		err = missingPost()
	}
	if err != nil {
		return app.Post{}, err
	}
	return f.posts[id-1], nil
}

func (f *fake) Create(_ context.Context, once app.Once, author uint64, draft app.Draft) (app.Post, error) {
	err := f.begin()
	defer f.mu.Unlock()
	if err != nil {
		return app.Post{}, err
	}
	if first, again := f.done[once.Key]; again {
		if first.request != once.Request {
			return app.Post{}, &app.Error{Code: app.KeyReused, Message: "This key was used for something else."}
		}
		return first.post, nil
	}
	p := f.add(author, draft)
	f.done[once.Key] = done{once.Request, p}
	return p, nil
}

func (f *fake) own(author, id uint64) error {
	switch {
	case id > uint64(len(f.posts)) || f.posts[id-1].ID == 0:
		return missingPost()
	case f.posts[id-1].AuthorID != author:
		return &app.Error{Code: app.Forbidden, Message: "This post is somebody else's."}
	}
	return nil
}

func (f *fake) Update(_ context.Context, author, id uint64, draft app.Draft) (app.Post, error) {
	err := f.begin()
	defer f.mu.Unlock()
	if err == nil {
		err = f.own(author, id)
	}
	if err != nil {
		return app.Post{}, err
	}
	p := &f.posts[id-1]
	p.Title, p.Body = draft.Title, draft.Body
	return *p, nil
}

func (f *fake) Delete(_ context.Context, author, id uint64) error {
	err := f.begin()
	defer f.mu.Unlock()
	if err == nil {
		err = f.own(author, id)
	}
	if err == nil {
		f.posts[id-1] = app.Post{}
	}
	return err
}

func (f *fake) CreateUser(_ context.Context, once app.Once, user app.User) error {
	err := f.begin()
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	if first, again := f.done[once.Key]; again {
		if first.request != once.Request {
			return &app.Error{Code: app.KeyReused, Message: "This key was used for something else."}
		}
		return nil
	}
	if f.full {
		return &app.Error{Code: app.Full, Message: "There is no room."}
	}
	for _, u := range f.users {
		if strings.EqualFold(u.Email, user.Email) {
			return &app.Error{Code: app.Conflict, Message: "There is an account already."}
		}
	}
	f.done[once.Key] = done{request: once.Request}
	user.ID, user.CreatedAt = uint64(len(f.users)+1), written
	f.users = append(f.users, user)
	return nil
}

func (f *fake) UserByEmail(_ context.Context, email string) (app.User, error) {
	err := f.begin()
	defer f.mu.Unlock()
	for _, u := range f.users {
		if err == nil && u.ID != 0 && strings.EqualFold(u.Email, email) {
			return u, nil
		}
	}
	if err == nil {
		err = &app.Error{Code: app.NotFound, Message: "There is no such account."}
	}
	return app.User{}, err
}

func (f *fake) Rename(_ context.Context, user uint64, name string) error {
	err := f.begin()
	defer f.mu.Unlock()
	if err == nil {
		f.users[user-1].Name = name
	}
	return err
}

func (f *fake) ifHash(user uint64, hash string) error {
	err := f.begin()
	if err == nil && f.users[user-1].PasswordHash != hash {
		err = &app.Error{Code: app.Conflict, Message: "The password has changed."}
	}
	return err
}

func (f *fake) ChangePassword(_ context.Context, user uint64, oldHash, newHash string, in app.SignIn) error {
	err := f.ifHash(user, oldHash)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	f.users[user-1].PasswordHash = newHash
	for token, id := range f.sessions {
		if id == user {
			delete(f.sessions, token)
		}
	}
	for device, users := range f.devices {
		f.devices[device] = slices.DeleteFunc(users, func(id uint64) bool { return id == user })
	}
	f.begun(user, in)
	return nil
}

func (f *fake) begun(user uint64, in app.SignIn) {
	delete(f.sessions, in.OldToken)
	f.sessions[in.Token], f.browsers[in.Token] = user, in.Browser
	f.devices[in.Device] = append(f.devices[in.OldDevice], user)
	delete(f.devices, in.OldDevice)
}

func (f *fake) KnowsDevice(_ context.Context, user uint64, device app.Digest) (bool, error) {
	err := f.begin()
	defer f.mu.Unlock()
	return slices.Contains(f.devices[device], user), err
}

func (f *fake) Sessions(_ context.Context, user uint64) (all []app.Session, err error) {
	err = f.begin()
	defer f.mu.Unlock()
	for token, id := range f.sessions {
		if id == user {
			all = append(all, app.Session{TokenHash: token, Browser: f.browsers[token], CreatedAt: written, UsedAt: written})
		}
	}
	return all, err
}

func (f *fake) DeleteUser(_ context.Context, user uint64, hash string) error {
	err := f.ifHash(user, hash)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	f.users[user-1] = app.User{}
	for token, id := range f.sessions {
		if id == user {
			delete(f.sessions, token)
		}
	}
	return nil
}

func (f *fake) StartSession(_ context.Context, user uint64, hash string, in app.SignIn) error {
	err := f.ifHash(user, hash)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	f.begun(user, in)
	return nil
}

func (f *fake) Session(_ context.Context, token app.Digest) (app.Session, error) {
	err := f.begin()
	defer f.mu.Unlock()
	user, there := f.sessions[token]
	if err == nil && !there {
		err = &app.Error{Code: app.NotFound, Message: "There is no such session."}
	}
	if err != nil {
		return app.Session{}, err
	}
	return app.Session{User: f.users[user-1], TokenHash: token, CreatedAt: written}, nil
}

func (f *fake) EndSession(_ context.Context, token app.Digest) error {
	err := f.begin()
	defer f.mu.Unlock()
	delete(f.sessions, token)
	return err
}

// Take implements the generic cell rate algorithm, as mysql's Take does.
func (f *fake) Take(_ context.Context, buckets ...app.Bucket) (wait time.Duration, err error) {
	err = f.begin()
	defer f.mu.Unlock()
	if f.worn {
		return time.Minute, err
	}
	next := make([]time.Duration, len(buckets))
	for i, b := range buckets {
		next[i] = max(f.arrivals[b.Name], f.now) + b.Interval
		wait = max(wait, next[i]-time.Duration(b.Burst)*b.Interval-f.now)
	}
	if wait > 0 {
		return wait, err
	}
	for i, b := range buckets {
		f.arrivals[b.Name] = next[i]
		f.taken[b.Name]++
	}
	return 0, err
}

func (f *fake) Return(_ context.Context, buckets ...app.Bucket) error {
	err := f.begin()
	defer f.mu.Unlock()
	for _, b := range buckets {
		f.arrivals[b.Name] -= b.Interval
		f.taken[b.Name]--
	}
	return err
}

// passwords is shared by all tests, since its limits apply to the whole process.
var passwords = sync.OnceValue(auth.NewPasswords)

const proxy = "192.0.2.80"

// newServer returns a Server that stores its data in f, and the log that the Server writes.
func newServer(t testing.TB, f *fake, ready error) (*Server, *logLines) {
	t.Helper()
	lines := new(logLines)
	s, err := New(Config{
		Log:       slog.New(slog.NewJSONHandler(lines, nil)),
		Posts:     f,
		Accounts:  f,
		Throttle:  f,
		Passwords: passwords(),
		Ready:     func(context.Context) error { return ready },
		Journey: func(_ context.Context, webVersion string) journey.Journey {
			return journey.Journey{
				DNS:         journey.DNS{Question: "www.foobar.com. A", View: "inside", Records: []journey.Record{{Name: "foobar.com.", Type: "A", TTL: 300, Data: "8.8.8.8"}}},
				Certificate: journey.Certificate{Names: []string{"www.foobar.com"}, Issuer: "oneserver", Until: "2027-03-01", DaysLeft: 89},
				Parts:       []journey.Part{{Name: "web", Software: "Nginx", Version: webVersion, Healthy: true}},
			}
		},
		Observer:     nobody{},
		TrustedProxy: netip.MustParseAddr(proxy),
		OwnNetwork:   netip.MustParsePrefix("192.0.2.0/24"),
		Domain:       "foobar.com",
		Replica:      "replica-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, lines
}

// nobody is an Observer that ignores everything.
type nobody struct{}

func (nobody) Begin()                                          {}
func (nobody) End(*timing.Record, string, string, string, int) {}

// logLines collects a log. Several goroutines may write to it.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// change modifies a request that a test is about to send.
type change func(*http.Request)

// ask sends one request through the whole handler, as if from the trusted proxy.
func ask(s *Server, method, target string, changes ...change) *http.Response {
	request := httptest.NewRequest(method, target, nil)
	request.RemoteAddr = proxy + ":50000"
	for _, f := range changes {
		f(request)
	}
	recorder := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(recorder, request)
	return recorder.Result()
}

// sending gives the request a JSON body.
func sending(body string) change {
	return func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(body))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", "application/json")
	}
}

// with adds a field to the request's header.
func with(name, value string) change {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func keyed(key string) change { return with(idempotencyKey, key) }

func body(t testing.TB, response *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const password = "correct horse battery"

// hashed returns a hash of password that costs next to nothing to verify.
var hashed = sync.OnceValue(func() string {
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		panic(err)
	}
	return hash
})

// join adds a user to f, whose password is password, and returns a change that makes a request come from that user.
func (f *fake) join(name string) (theirs change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := uint64(len(f.users) + 1)
	f.users = append(f.users, app.User{ID: id, Name: name, Email: strings.ToLower(name) + "@example.com", PasswordHash: hashed(), CreatedAt: written})
	token := auth.NewToken()
	hash, _ := auth.TokenHash(token)
	f.sessions[hash] = id
	return with("Cookie", "session="+token)
}
