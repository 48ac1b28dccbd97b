package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"oneserver/app"
	"oneserver/app/auth"
)

type createAccountInput struct {
	Idempotent
	Body struct {
		Email    string `json:"email" minLength:"3" maxLength:"254" example:"ada@example.com"`
		Name     string `json:"name" minLength:"1" maxLength:"50" example:"Ada" doc:"Shown beside what they write."`
		Password string `json:"password" minLength:"8" maxLength:"256"`
	}
}

func (in *createAccountInput) Resolve(huma.Context) []error {
	b := &in.Body
	b.Name = tidyName(b.Name)
	return wrong("email", checkEmail(b.Email), "name", checkName(b.Name), "password", checkSecret(b.Password))
}

type created struct {
	Status string `json:"status" enum:"created"`
}

// createAccount says where an address has an account already. To be silent would hide nothing: without a mail that only
// the owner of the address reads, whoever tries to sign in next finds out, and the owner who forgot would not be helped.
func (s *Server) createAccount(c *call, in *createAccountInput) (*created, error) {
	ctx := c.Context()
	b := &in.Body
	if err := s.checkName(b.Name); err != nil {
		return nil, err
	}
	if err := s.checkPassword("password", b.Password, app.User{Email: b.Email, Name: b.Name}); err != nil {
		return nil, err
	}
	if err := s.throttle(c, perVisitor("sign-up", c)...); err != nil {
		return nil, err
	}
	if err := s.countSignUp(c); err != nil {
		return nil, err
	}
	// The password is no part of what is kept of the request: a digest of it would be quick to try passwords on, for who
	// reads the database, and with a known key for everybody.
	once, err := c.once("account "+strings.ToLower(b.Email), b.Name)
	if err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, b.Password)
	unmade := err != nil
	if err == nil {
		err = s.Accounts.CreateUser(ctx, once, app.User{Email: b.Email, Name: b.Name, PasswordHash: hash})
		unmade = is(err, app.Conflict) || is(err, app.KeyReused) || is(err, app.Full) // otherwise one may have been made
	}
	if unmade {
		if err := s.Throttle.Return(ctx, s.Quotas.SignUps(networkOf(c))...); err != nil {
			return nil, err
		}
	}
	if is(err, app.Conflict) {
		err = refused(http.StatusConflict, app.FieldError{Field: "email", Detail: "has an account already"})
	}
	if err != nil {
		return nil, err
	}
	return &created{"created"}, nil
}

// checkPassword refuses a password that whoever guesses tries first. field is where it was given.
func (s *Server) checkPassword(field, password string, user app.User) error {
	if detail := auth.Weakness(password, user.Email, user.Name, "@"+s.Domain, "@www."+s.Domain); detail != "" {
		return refused(http.StatusUnprocessableEntity, app.FieldError{Field: field, Detail: detail})
	}
	return nil
}

// checkName refuses a name that readers would take for the site itself.
func (s *Server) checkName(name string) error {
	if isSites(name, s.Domain) {
		return refused(http.StatusUnprocessableEntity, app.FieldError{Field: "name", Detail: "is the site's own"})
	}
	return nil
}

type renameInput struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"50"`
	}
}

func (in *renameInput) Resolve(huma.Context) []error {
	in.Body.Name = tidyName(in.Body.Name)
	return wrong("name", checkName(in.Body.Name))
}

func (s *Server) rename(c *call, in *renameInput) (*user, error) {
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	if err := s.checkName(in.Body.Name); err != nil {
		return nil, err
	}
	if err := s.Accounts.Rename(c.Context(), session.User.ID, in.Body.Name); err != nil {
		return nil, err
	}
	session.User.Name = in.Body.Name
	return showUser(session.User), nil
}

// confirm makes sure that it is the user who asks, and not somebody who found their browser open. field is where the
// password was given.
func (s *Server) confirm(c *call, field, password string) (app.Session, error) {
	session, err := s.session(c)
	if err != nil {
		return session, err
	}
	if err := s.throttle(c, perSession("confirmation", session)...); err != nil {
		return session, err
	}
	right, err := s.Passwords.Verify(c.Context(), password, session.User.PasswordHash)
	if err == nil && !right {
		err = wrongPassword(field)
	}
	return session, err
}

func wrongPassword(field string) error {
	return refused(http.StatusUnprocessableEntity, app.FieldError{Field: field, Detail: "is not your password"})
}

type changePasswordInput struct {
	Body struct {
		Current string `json:"current" minLength:"1" maxLength:"256"`
		New     string `json:"new" minLength:"8" maxLength:"256"`
	}
}

func (in *changePasswordInput) Resolve(huma.Context) []error {
	return wrong("current", checkSecret(in.Body.Current), "new", checkSecret(in.Body.New))
}

// changePassword gives this browser a new session, and ends all others.
func (s *Server) changePassword(c *call, in *changePasswordInput) (*nothing, error) {
	ctx := c.Context()
	session, err := s.confirm(c, "current", in.Body.Current)
	if err != nil {
		return nil, err
	}
	if err := s.checkPassword("new", in.Body.New, session.User); err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Body.New)
	if err != nil {
		return nil, err
	}
	tokens, give := c.newSignIn()
	err = s.Accounts.ChangePassword(ctx, session.User.ID, session.User.PasswordHash, hash, tokens)
	if is(err, app.Conflict) { // changed just now, in another browser
		err = wrongPassword("current")
	}
	if err != nil {
		return nil, err
	}
	give()
	return &nothing{}, nil
}

type deleteAccountInput struct {
	Body struct {
		Password string `json:"password" minLength:"1" maxLength:"256"`
	}
}

func (in *deleteAccountInput) Resolve(huma.Context) []error {
	return wrong("password", checkSecret(in.Body.Password))
}

func (s *Server) deleteAccount(c *call, in *deleteAccountInput) (*nothing, error) {
	session, err := s.confirm(c, "password", in.Body.Password)
	if err != nil {
		return nil, err
	}
	err = s.Accounts.DeleteUser(c.Context(), session.User.ID, session.User.PasswordHash)
	if is(err, app.Conflict) {
		err = wrongPassword("password")
	}
	if err != nil {
		return nil, err
	}
	c.clearCookie("session")
	c.clearCookie("device")
	return &nothing{}, nil
}
