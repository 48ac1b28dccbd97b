package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"oneserver/ctl/internal/ctxio"
)

// NewKey writes a new key for encrypted backups, in the form of age-keygen, and beside it what a server needs of it to make
// backups and to sign them, and says where.
func NewKey(out io.Writer, file string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	signing, err := signingKey(identity)
	if err != nil {
		return err
	}
	if err := newSecret(file, fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), identity.Recipient(), identity)); err != nil {
		return err // and nothing beside it: what a server made with that, no key would open
	}
	if err := newSecret(file+serverSuffix, fmt.Sprintf("# makes backups for %s and signs them; opens none\n%s\n%s\n", filepath.Base(file), identity.Recipient(), signingLine(signing))); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	_, err = fmt.Fprintf(out, "%s holds the new key, which opens backups: keep it elsewhere.\n%s is enough to make backups and to sign them: it is for the server. Its public key is\n%s\n", file, file+serverSuffix, identity.Recipient())
	return err
}

// newSecret writes a file that only its owner reads, and never over one that is there: it may open backups that are there.
func newSecret(name, text string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, text)
	return errors.Join(err, file.Sync(), file.Close())
}

// readRecipients returns to whom a key file says to encrypt: to itself where it is a secret key (as age-keygen makes
// it), or to public keys. No file means not to encrypt.
func readRecipients(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; bin/oneserver backup --new-key FILE makes one", err)
	} else if err != nil {
		return nil, err
	}
	var names []string
	if identities, err := age.ParseIdentities(strings.NewReader(string(text))); err == nil {
		for _, identity := range identities {
			switch identity := identity.(type) {
			case *age.X25519Identity:
				names = append(names, identity.Recipient().String())
			case *age.HybridIdentity:
				names = append(names, identity.Recipient().String())
			}
		}
	} else {
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, signingPrefix) {
				names = append(names, line)
			}
		}
		if _, err := parseRecipients(names); err != nil { // what it says may quote the file, which may be somebody's secret
			return nil, fmt.Errorf("%s is no key of age: make one with age-keygen or with bin/oneserver backup --new-key FILE", file)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no key", file)
	}
	return names, nil
}

func parseRecipients(names []string) ([]age.Recipient, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return age.ParseRecipients(strings.NewReader(strings.Join(names, "\n")))
}

// readIdentities returns the secret keys of a file.
func readIdentities(file string) ([]age.Identity, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	identities, err := age.ParseIdentities(text)
	if err != nil {
		return nil, fmt.Errorf("%s holds no secret key of age, which is what opens a backup", file)
	}
	return identities, nil
}

// suffix is how the name of a sealed file ends.
func suffix(recipients []string) string {
	if len(recipients) > 0 {
		return ".zst.age"
	}
	return ".zst"
}

// A sealer compresses what is written to it, encrypts it and writes it to a file.
type sealer struct {
	io.Writer // the plain text goes in here
	file      *os.File
	sum       hash.Hash
	size      int64
	closers   []io.Closer
}

// seal begins a file. zstd adds a checksum of the content, which is compared when it is read.
func seal(name string, recipients []string) (*sealer, error) {
	to, err := parseRecipients(recipients)
	if err != nil {
		return nil, fmt.Errorf("encrypt to %s: %w", strings.Join(recipients, ", "), err)
	}
	file, err := create(name)
	if err != nil {
		return nil, err
	}
	s := &sealer{file: file, sum: sha256.New()}
	var below io.Writer = countingWriter{io.MultiWriter(file, s.sum), &s.size}
	if len(to) > 0 {
		encrypted, err := age.Encrypt(below, to...)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		below, s.closers = encrypted, []io.Closer{encrypted}
	}
	// One core and the fastest level: the site that is being backed up needs the machine too.
	compressed, err := zstd.NewWriter(below, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.Writer, s.closers = compressed, append([]io.Closer{compressed}, s.closers...)
	return s, nil
}

// finish ends the file, safe on disk, and returns the checksum of what it holds now.
func (s *sealer) finish() (string, error) {
	var errs []error
	for _, one := range s.closers {
		errs = append(errs, one.Close())
	}
	errs = append(errs, s.file.Sync(), s.file.Close())
	return hex.EncodeToString(s.sum.Sum(nil)), errors.Join(errs...)
}

// abandon closes a file that is not going to be complete.
func (s *sealer) abandon() { s.file.Close() }

type countingWriter struct {
	io.Writer
	count *int64
}

func (w countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	*w.count += int64(n)
	return n, err
}

// maxWindow is the memory that a file may ask for to be read, as much as the program zstd allows; ours ask for 4 MB.
const maxWindow = 128 << 20

// unseal opens a sealed file for reading; done is how much of the file has been read.
func unseal(ctx context.Context, name string, identities []age.Identity, done *int64) (io.ReadCloser, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var content io.Reader = io.TeeReader(ctxio.Reader{Context: ctx, Reader: file}, countingWriter{io.Discard, done})
	if strings.HasSuffix(name, ".age") {
		if len(identities) == 0 {
			return nil, errors.Join(fmt.Errorf("%s is encrypted: say where its key is, with KEY=FILE", name), file.Close())
		}
		content, err = age.Decrypt(content, identities...)
		if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
			return nil, errors.Join(fmt.Errorf("%s was encrypted to another key than the one that was given", name), file.Close())
		} else if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
		}
	}
	plain, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &unsealed{plain, file}, nil
}

type unsealed struct {
	*zstd.Decoder
	file *os.File
}

func (u *unsealed) Close() error {
	u.Decoder.Close()
	return u.file.Close()
}
