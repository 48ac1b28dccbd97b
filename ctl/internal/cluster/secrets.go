package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	secretsVolume = project + "_secrets"
	dataVolume    = project + "_data"
	secretsWithin = time.Minute
	mysqlUser     = 999 // in compose.yaml
)

// A secret is a file in the volume of secrets.
type secret struct {
	content  []byte
	uid, gid int
	mode     int64
}

// inSecrets prepares a throw-away container with a server's volume of secrets and nothing else.
func (c *Cluster) inSecrets(ctx context.Context, one Server, in io.Reader, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, secretsWithin)
	defer cancel()
	return c.on[one.Letter].OutputFrom(ctx, in, "run", "--rm", "--interactive", "--pull", "never", "--network", "none", "--read-only",
		"--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "FOWNER", "--cap-add", "DAC_OVERRIDE", "--security-opt", "no-new-privileges",
		"--user", "0:0", "--workdir", "/run/secrets", "--mount", "type=volume,source="+secretsVolume+",destination=/run/secrets",
		"--entrypoint", "sh", mysqlImage, "-ec", script)
}

func (c *Cluster) hasVolume(ctx context.Context, one Server, name string) (bool, error) {
	found, err := c.on[one.Letter].Output(ctx, "volume", "ls", "--quiet", "--filter", "name=^"+name+"$")
	return strings.TrimSpace(found) != "", err
}

// readSecrets returns a server's secrets by name; none if it has no complete set.
func (c *Cluster) readSecrets(ctx context.Context, one Server) (map[string]secret, error) {
	if there, err := c.hasVolume(ctx, one, secretsVolume); err != nil || !there {
		return nil, err
	}
	out, err := c.inSecrets(ctx, one, nil, "exec tar --create --exclude './.*' .")
	if err != nil {
		return nil, err
	}
	all := map[string]secret{}
	archive := tar.NewReader(strings.NewReader(out))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		all[strings.TrimPrefix(header.Name, "./")] = secret{content, header.Uid, header.Gid, header.Mode}
	}
	if _, complete := all["stack_id"]; !complete { // it is written last
		return nil, nil
	}
	return all, nil
}

// unpackSecrets puts each file into the volume whole or not at all, and stack_id last: with it the set is complete.
const unpackSecrets = `rm -rf .new
mkdir -m 0700 .new
tar --extract --directory .new --same-owner --same-permissions
for file in .new/*; do
  if [ "$file" != .new/stack_id ]; then mv "$file" .; fi
done
if [ -e .new/stack_id ]; then mv .new/stack_id .; fi
rmdir .new
sync -f .`

func (c *Cluster) writeSecrets(ctx context.Context, one Server, all map[string]secret) error {
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for name, one := range all {
		if err := add(archive, &tar.Header{Name: name, ModTime: time.Now(), Mode: one.mode, Uid: one.uid, Gid: one.gid}, one.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	_, err := c.inSecrets(ctx, one, &packed, unpackSecrets)
	return err
}

// shareSecrets makes the secrets on one server, if no server has any, and gives them to the others; and gives each server's
// database a certificate if it has none. They pass through this program's memory, and are kept on the servers only.
func (c *Cluster) shareSecrets(ctx context.Context) error {
	signer, err := openAuthority(c.dir)
	if err != nil {
		return err
	}
	has := make([]map[string]secret, len(c.Servers))
	read := func(ctx context.Context) error {
		return each(ctx, c.Servers, func(ctx context.Context, one Server) (err error) {
			has[indexOf(one)], err = c.readSecrets(ctx, one)
			return err
		})
	}
	if err := read(ctx); err != nil {
		return err
	}
	first, err := sharedSet(c.Servers, has)
	if err != nil {
		return err
	}
	if first < 0 { // the stack makes its own, on the first server
		first = 0
		limited, cancel := context.WithTimeout(ctx, secretsWithin)
		defer cancel()
		if _, err := c.on[c.Servers[0].Letter].Compose(limited, "run", "--rm", "--no-deps", "secrets"); err != nil {
			return err
		}
		if has[0], err = c.readSecrets(ctx, c.Servers[0]); err != nil {
			return err
		}
		if has[0] == nil {
			return fmt.Errorf("server %s has made no secrets: make cluster tries again", c.Servers[0].Letter)
		}
	}
	all := has[first]
	if _, made := all["mysql_repl_password"]; !made {
		// A site of one server has its data and no such account; it must not become a member unasked.
		for _, one := range c.Servers {
			there, err := c.hasVolume(ctx, one, dataVolume)
			if err != nil {
				return err
			}
			if there {
				return fmt.Errorf("server %s holds the data of a site of one server, which cannot become a cluster yet: "+
					"make a backup there and keep it, then docker volume rm %s there, and make cluster again", one.Letter, dataVolume)
			}
		}
		all["mysql_repl_password"] = secret{[]byte((rand.Text() + rand.Text())[:32]), mysqlUser, mysqlUser, 0o400}
		// The server that the others will copy from must have it before they do.
		if err := c.writeSecrets(ctx, c.Servers[first], map[string]secret{"mysql_repl_password": all["mysql_repl_password"]}); err != nil {
			return err
		}
	}
	return each(ctx, c.Servers, func(ctx context.Context, one Server) error {
		// Compose makes the volume, so that it is the project's.
		limited, cancel := context.WithTimeout(ctx, secretsWithin)
		defer cancel()
		if _, err := c.on[one.Letter].Compose(limited, "create", "--no-recreate", "secrets"); err != nil {
			return err
		}
		send := map[string]secret{}
		its := has[indexOf(one)]
		if its == nil {
			for name, file := range all {
				if !strings.HasPrefix(name, "db") { // another server's certificate
					send[name] = file
				}
			}
		}
		if !usable(its["db.crt"].content, its["db_ca.crt"].content, one.Database()) {
			if other := otherAuthority(has, signer.pem); other != "" {
				return fmt.Errorf("its database needs a certificate, and that of server %s is from an authority whose key is not in %s: "+
					"bring that folder back from the machine where make cluster first ran", other, c.dir)
			}
			certificate, key, err := signer.issue(one.Database())
			if err != nil {
				return err
			}
			send["db.crt"] = secret{certificate, mysqlUser, mysqlUser, 0o444}
			send["db.key"] = secret{key, mysqlUser, mysqlUser, 0o400}
			send["db_ca.crt"] = secret{signer.pem, mysqlUser, mysqlUser, 0o444}
		}
		if len(send) == 0 {
			return nil
		}
		return c.writeSecrets(ctx, one, send)
	})
}

// sharedSet returns the index of the first server that has a set of secrets, or -1. Sets that differ are an error.
func sharedSet(servers []Server, has []map[string]secret) (int, error) {
	first := -1
	for i, its := range has {
		switch {
		case its == nil:
		case first < 0:
			first = i
		case !bytes.Equal(its["stack_id"].content, has[first]["stack_id"].content):
			return -1, fmt.Errorf("the servers %s and %s have different secrets, so their data cannot be one group's: one of them belongs to "+
				"another site. If it holds nothing that you need, remove its volumes there (docker volume rm %s %s) and run make cluster again",
				servers[first].Letter, servers[i].Letter, dataVolume, secretsVolume)
		}
	}
	return first, nil
}

// otherAuthority returns the first server whose database trusts another authority; empty if there is none.
func otherAuthority(has []map[string]secret, authority []byte) string {
	for i, its := range has {
		if trusts, has := its["db_ca.crt"]; has && !bytes.Equal(trusts.content, authority) {
			return letters[i]
		}
	}
	return ""
}

// usable reports whether a database's certificate is signed by the authority beside it, has its name and is valid for
// another 30 days.
func usable(certificate, authority []byte, name string) bool {
	parsed, err := parseCertificate(certificate)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	_, err = parsed.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Now().Add(30 * 24 * time.Hour)})
	return err == nil
}
