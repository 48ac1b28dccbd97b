package api

import (
	"net/http"
	"strings"

	"oneserver/app"
	"oneserver/app/auth"
)

type newAccount struct{ email, name, password string }

func (a *newAccount) fields() fields {
	return fields{
		{name: "email", into: &a.email, least: 3, most: app.MaxEmail, check: checkEmail, example: "ada@example.com"},
		{name: "name", into: &a.name, least: 1, most: app.MaxName, tidy: tidyName, check: checkName, example: "Ada", doc: "Shown beside what they write."},
		{name: "password", into: &a.password, least: app.MinPassword, most: app.MaxPassword, check: checkSecret},
	}
}

type created struct {
	Status string `json:"status" enum:"created"`
}

// createAccount creates an account, or reports that the address already has one. Hiding that would be pointless: no
// mail goes to the owner of the address, so anyone could find out by trying to sign in afterwards, and owners who have
// forgotten their account would get no help.
func (s *Server) createAccount(c *call) (any, error) {
	ctx := c.Context()
	var given newAccount
	if err := c.read(given.fields()); err != nil {
		return nil, err
	}
	if err := s.checkName(given.name); err != nil {
		return nil, err
	}
	if err := s.checkPassword("password", given.password, app.User{Email: given.email, Name: given.name}); err != nil {
		return nil, err
	}
	if err := s.throttle(c, perVisitor("sign-up", c)...); err != nil {
		return nil, err
	}
	if err := s.countSignUp(c); err != nil {
		return nil, err
	}
	// The stored digest of the request leaves out the password. Otherwise, anyone who read the database could try
	// passwords against that digest, which is quick to compute, and anyone who knew the key could try them by repeating
	// the request.
	once, err := c.once("account "+strings.ToLower(given.email), given.name)
	if err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, given.password)
	unmade := err != nil
	if err == nil {
		err = s.Accounts.CreateUser(ctx, once, app.User{Email: given.email, Name: given.name, PasswordHash: hash})
		unmade = is(err, app.Conflict) || is(err, app.KeyReused) || is(err, app.Full) // after any other error, the account may exist
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
	return created{"created"}, nil
}

// checkPassword refuses passwords that attackers try first. field names the field that contained the password.
func (s *Server) checkPassword(field, password string, user app.User) error {
	if detail := auth.Weakness(password, user.Email, user.Name, "@"+s.Domain, "@www."+s.Domain); detail != "" {
		return refused(http.StatusUnprocessableEntity, app.FieldError{Field: field, Detail: detail})
	}
	return nil
}

// checkName refuses a name that readers would mistake for the site's own.
func (s *Server) checkName(name string) error {
	if isSites(name, s.Domain) {
		return refused(http.StatusUnprocessableEntity, app.FieldError{Field: "name", Detail: "is the site's own"})
	}
	return nil
}

type newName struct{ name string }

func (n *newName) fields() fields {
	return fields{{name: "name", into: &n.name, least: 1, most: app.MaxName, tidy: tidyName, check: checkName}}
}

func (s *Server) rename(c *call) (any, error) {
	var given newName
	if err := c.read(given.fields()); err != nil {
		return nil, err
	}
	session, err := s.session(c)
	if err != nil {
		return nil, err
	}
	if err := s.checkName(given.name); err != nil {
		return nil, err
	}
	if err := s.Accounts.Rename(c.Context(), session.User.ID, given.name); err != nil {
		return nil, err
	}
	session.User.Name = given.name
	return showUser(session.User), nil
}

// confirm checks the user's password again, in case somebody else is using a browser that is still signed in. field
// names the field that contained the password.
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

type passwordChange struct{ current, new string }

func (p *passwordChange) fields() fields {
	return fields{
		{name: "current", into: &p.current, least: 1, most: app.MaxPassword, check: checkSecret},
		{name: "new", into: &p.new, least: app.MinPassword, most: app.MaxPassword, check: checkSecret},
	}
}

// changePassword gives this browser a new session, and ends all others.
func (s *Server) changePassword(c *call) (any, error) {
	ctx := c.Context()
	var given passwordChange
	if err := c.read(given.fields()); err != nil {
		return nil, err
	}
	session, err := s.confirm(c, "current", given.current)
	if err != nil {
		return nil, err
	}
	if err := s.checkPassword("new", given.new, session.User); err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, given.new)
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
	return nil, nil
}

type confirmation struct{ password string }

func (p *confirmation) fields() fields {
	return fields{{name: "password", into: &p.password, least: 1, most: app.MaxPassword, check: checkSecret}}
}

func (s *Server) deleteAccount(c *call) (any, error) {
	var given confirmation
	if err := c.read(given.fields()); err != nil {
		return nil, err
	}
	session, err := s.confirm(c, "password", given.password)
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
	return nil, nil
}
