package api

import (
	"encoding/hex"
	"net/http"
	"time"

	"oneserver/app"
	"oneserver/app/auth"
)

// name returns the name of a cookie. Under HTTPS the name begins with __Host-, so that browsers accept the cookie only
// from this host.
func (v *visit) name(cookie string) string {
	if v.https {
		return "__Host-" + cookie
	}
	return cookie
}

func (c *call) setCookie(name, value string, life time.Duration) {
	http.SetCookie(c.gin.Writer, &http.Cookie{
		Name: c.name(name), Value: value, Path: "/", MaxAge: int(life.Seconds()),
		Secure: c.https, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (c *call) clearCookie(name string) { c.setCookie(name, "", -time.Second) }

// newSignIn makes new tokens for a browser, to replace those that it has. give sets the cookies; call it once the
// tokens are stored.
func (c *call) newSignIn() (in app.SignIn, give func()) {
	session, device := auth.NewToken(), auth.NewToken()
	in = app.SignIn{OldToken: c.token, OldDevice: c.device, Browser: browserOf(c.gin.Request.UserAgent())}
	in.Token, _ = auth.TokenHash(session)
	in.Device, _ = auth.TokenHash(device)
	return in, func() {
		c.setCookie("session", session, app.SessionAbsolute)
		c.setCookie("device", device, app.DeviceLife)
	}
}

func signedOut() error {
	return &app.Error{Code: app.Unauthorized, Message: "You are not signed in."}
}

// session returns the session that the request belongs to, or an error of code Unauthorized. It clears a cookie that
// belongs to no session, because a visitor who sends one gets no cached answers.
func (s *Server) session(c *call) (app.Session, error) {
	if c.token == (app.Digest{}) {
		if c.cookie {
			c.clearCookie("session")
		}
		return app.Session{}, signedOut()
	}
	session, err := s.Accounts.Session(c.Context(), c.token)
	if is(err, app.NotFound) {
		c.clearCookie("session")
		return app.Session{}, signedOut()
	}
	return session, err
}

func is(err error, code app.Code) bool { return err != nil && app.AsError(err).Code == code }

type user struct {
	ID        uint64 `json:"id"`
	Name      string `json:"name"`
	Email     string `json:"email"`
	CreatedAt string `json:"created_at" format:"date-time"`
}

func showUser(u app.User) *user {
	return &user{ID: u.ID, Name: u.Name, Email: u.Email, CreatedAt: u.CreatedAt.UTC().Format(timeFormat)}
}

type sessionState struct {
	SignedIn bool  `json:"signed_in"`
	User     *user `json:"user,omitempty" doc:"Who is signed in; absent if nobody is."`
}

func (s *Server) getSession(c *call) (any, error) {
	session, err := s.session(c)
	if is(err, app.Unauthorized) {
		return sessionState{}, nil
	}
	if err != nil {
		return nil, err
	}
	return sessionState{SignedIn: true, User: showUser(session.User)}, nil
}

type signInForm struct{ email, password string }

func (k *signInForm) fields() fields {
	return fields{
		{name: "email", into: &k.email, least: 1, most: app.MaxEmail, check: checkEmail},
		{name: "password", into: &k.password, least: 1, most: app.MaxPassword, check: checkSecret},
	}
}

// signIn gives the same answer, after the same work, whether the password is wrong or the address has no account. (A
// browser that has signed in to an account before is treated differently, but it already knows that the account
// exists.)
func (s *Server) signIn(c *call) (any, error) {
	ctx := c.Context()
	var given signInForm
	if err := c.read(given.fields()); err != nil {
		return nil, err
	}
	found, err := s.Accounts.UserByEmail(ctx, given.email)
	exists := err == nil
	if err != nil && !is(err, app.NotFound) {
		return nil, err
	}
	var knownBy uint64
	if exists && c.device != (app.Digest{}) {
		known, err := s.Accounts.KnowsDevice(ctx, found.ID, c.device)
		if err != nil {
			return nil, err
		}
		if known {
			knownBy = found.ID
		}
	}
	limits := s.signInLimits(c, given.email, knownBy)
	if err := s.throttle(c, append(limits.others, limits.account...)...); err != nil {
		return nil, err
	}
	right := false
	if exists {
		right, err = s.Passwords.Verify(ctx, given.password, found.PasswordHash)
	} else {
		err = s.Passwords.VerifyNobody(ctx, given.password)
	}
	if err != nil {
		return nil, err
	}
	if right {
		if err := s.Throttle.Return(ctx, limits.account...); err != nil {
			return nil, err
		}
		tokens, give := c.newSignIn()
		err = s.Accounts.StartSession(ctx, found.ID, found.PasswordHash, tokens)
		if err == nil {
			give()
			return sessionState{SignedIn: true, User: showUser(found)}, nil
		}
		if !is(err, app.Conflict) { // a Conflict means that the password was changed just now
			return nil, err
		}
	}
	return nil, &app.Error{Code: app.Unauthorized, Message: "The address or the password is wrong."}
}

func (s *Server) signOut(c *call) (any, error) {
	if c.token != (app.Digest{}) {
		if err := s.Accounts.EndSession(c.Context(), c.token); err != nil {
			return nil, err
		}
	}
	c.clearCookie("session")
	return nil, nil
}

type openSession struct {
	ID        string `json:"id" doc:"Identifies the session, but cannot be used to sign in."`
	Browser   string `json:"browser" doc:"The kind of browser; empty if unknown."`
	CreatedAt string `json:"created_at" format:"date-time" doc:"When it signed in."`
	UsedAt    string `json:"used_at" format:"date-time" doc:"When it was last used, accurate to a few minutes."`
	Current   bool   `json:"current" doc:"Whether it is the session of this request."`
}

type openSessions struct {
	Sessions []openSession `json:"sessions" nullable:"false"`
}

// sessionID returns the id of a session in a list. The id is part of the digest of the session's token, and does not
// reveal the token.
func sessionID(s app.Session) string { return hex.EncodeToString(s.TokenHash[:16]) }

func (s *Server) listSessions(c *call) (any, error) {
	here, err := s.session(c)
	if err != nil {
		return nil, err
	}
	all, err := s.Accounts.Sessions(c.Context(), here.User.ID)
	if err != nil {
		return nil, err
	}
	shown := &openSessions{Sessions: make([]openSession, len(all))}
	for i, one := range all {
		shown.Sessions[i] = openSession{
			ID: sessionID(one), Browser: one.Browser, Current: one.TokenHash == here.TokenHash,
			CreatedAt: one.CreatedAt.UTC().Format(timeFormat), UsedAt: one.UsedAt.UTC().Format(timeFormat),
		}
	}
	return shown, nil
}

func (s *Server) endSession(c *call) (any, error) {
	here, err := s.session(c)
	if err != nil {
		return nil, err
	}
	all, err := s.Accounts.Sessions(c.Context(), here.User.ID)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if sessionID(one) != c.gin.Param("id") {
			continue
		}
		if one.TokenHash == here.TokenHash {
			c.clearCookie("session")
		}
		return nil, s.Accounts.EndSession(c.Context(), one.TokenHash)
	}
	return nil, &app.Error{Code: app.NotFound, Message: "There is no such session: it has ended already."}
}
