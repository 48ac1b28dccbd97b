package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"oneserver/app"
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
	b.Name = strings.TrimSpace(b.Name)
	return wrong("email", checkEmail(b.Email), "name", checkLine(b.Name), "password", checkSecret(b.Password))
}

type created struct {
	Status string `json:"status" enum:"created"`
}

// createAccount answers the same, after the same work, whether the address has an account already or not.
func (s *Server) createAccount(c *call, in *createAccountInput) (*created, error) {
	ctx := c.Context()
	if err := s.throttle(c, perNetwork("sign-up", c)); err != nil {
		return nil, err
	}
	if err := s.countSignUp(c); err != nil {
		return nil, err
	}
	once, err := c.once(0, in.Body)
	if err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	err = s.Accounts.CreateUser(ctx, once, app.User{Email: in.Body.Email, Name: in.Body.Name, PasswordHash: hash})
	if err != nil {
		return nil, err
	}
	return &created{"created"}, nil
}

type renameInput struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"50"`
	}
}

func (in *renameInput) Resolve(huma.Context) []error {
	in.Body.Name = strings.TrimSpace(in.Body.Name)
	return wrong("name", checkLine(in.Body.Name))
}

func (s *Server) rename(c *call, in *renameInput) (*user, error) {
	session, err := s.session(c)
	if err != nil {
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
	account := strconv.FormatUint(session.User.ID, 10)
	if err := s.throttle(c, perAccount("confirmation", account), perNetwork("confirmation", c)); err != nil {
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

func (s *Server) changePassword(c *call, in *changePasswordInput) (*nothing, error) {
	ctx := c.Context()
	session, err := s.confirm(c, "current", in.Body.Current)
	if err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Body.New)
	if err != nil {
		return nil, err
	}
	err = s.Accounts.ChangePassword(ctx, session.User.ID, session.User.PasswordHash, hash, c.token)
	if is(err, app.Conflict) { // changed just now, in another browser
		err = wrongPassword("current")
	}
	return &nothing{}, err
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
	c.clearSessionCookie()
	return &nothing{}, nil
}
