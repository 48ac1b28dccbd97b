package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"oneserver/app"
	"oneserver/app/auth"
)

// cookieName is the name of the session's cookie. Under HTTPS the browser itself keeps everybody else from setting it.
func (v *visit) cookieName() string {
	if v.https {
		return "__Host-session"
	}
	return "session"
}

func (c *call) setSessionCookie(token string, maxAge int) {
	http.SetCookie(c.gin.Writer, &http.Cookie{
		Name: c.cookieName(), Value: token, Path: "/", MaxAge: maxAge,
		Secure: c.https, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (c *call) clearSessionCookie() { c.setSessionCookie("", -1) }

func signedOut() error {
	return &app.Error{Code: app.Unauthorized, Message: "You are not signed in."}
}

// session returns the session that the request belongs to, or an Unauthorized. A cookie that leads to none is cleared:
// it would only keep the visitor from answers that are kept for everybody.
func (s *Server) session(c *call) (app.Session, error) {
	if c.token == (app.Digest{}) {
		if c.cookie {
			c.clearSessionCookie()
		}
		return app.Session{}, signedOut()
	}
	session, err := s.Accounts.Session(c.Context(), c.token)
	if is(err, app.NotFound) {
		c.clearSessionCookie()
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
	User     *user `json:"user,omitempty" doc:"Who is signed in; absent for a stranger."`
}

func (s *Server) getSession(c *call, _ *struct{}) (*sessionState, error) {
	session, err := s.session(c)
	if is(err, app.Unauthorized) {
		return &sessionState{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &sessionState{SignedIn: true, User: showUser(session.User)}, nil
}

type signInInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"254"`
		Password string `json:"password" minLength:"1" maxLength:"256"`
	}
}

func (in *signInInput) Resolve(huma.Context) []error {
	return wrong("email", checkEmail(in.Body.Email), "password", checkSecret(in.Body.Password))
}

// signIn answers a wrong password and an address without an account alike, after the same work.
func (s *Server) signIn(c *call, in *signInInput) (*sessionState, error) {
	ctx := c.Context()
	if err := s.throttle(c, perAccount("sign-in", in.Body.Email), perNetwork("sign-in", c)); err != nil {
		return nil, err
	}
	found, err := s.Accounts.UserByEmail(ctx, in.Body.Email)
	var right bool
	switch {
	case err == nil:
		right, err = s.Passwords.Verify(ctx, in.Body.Password, found.PasswordHash)
	case is(err, app.NotFound):
		err = s.Passwords.VerifyNobody(ctx, in.Body.Password)
	}
	if err != nil {
		return nil, err
	}
	if right {
		token := auth.NewToken()
		hash, _ := auth.TokenHash(token)
		err = s.Accounts.StartSession(ctx, found.ID, found.PasswordHash, hash, c.token)
		if err == nil {
			c.setSessionCookie(token, int(app.SessionAbsolute.Seconds()))
			return &sessionState{SignedIn: true, User: showUser(found)}, nil
		}
		if !is(err, app.Conflict) { // the password was changed just now
			return nil, err
		}
	}
	return nil, &app.Error{Code: app.Unauthorized, Message: "The address or the password is wrong."}
}

func (s *Server) signOut(c *call, _ *struct{}) (*nothing, error) {
	if c.token != (app.Digest{}) {
		if err := s.Accounts.EndSession(c.Context(), c.token); err != nil {
			return nil, err
		}
	}
	c.clearSessionCookie()
	return &nothing{}, nil
}
