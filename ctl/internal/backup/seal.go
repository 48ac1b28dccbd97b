package backup

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
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

// NewKey writes a new key for encrypted backups, in the form of age-keygen, and beside it a file with what a server needs to
// make and sign backups. It prints where they are.
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
		return err // without the server's file: no key could open backups that are made with it
	}
	if err := newSecret(file+serverSuffix, fmt.Sprintf("# makes backups for %s and signs them; opens none\n%s\n%s\n", filepath.Base(file), identity.Recipient(), signingLine(signing))); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	_, err = fmt.Fprintf(out, "%s holds the new key, which opens backups: keep it elsewhere.\n%s is enough to make backups and to sign them: it is for the server. Its public key is\n%s\n", file, file+serverSuffix, identity.Recipient())
	return err
}

// newSecret writes a file that only its owner can read. It never overwrites a file, since existing backups may need the old
// one.
func newSecret(name, text string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, text)
	return errors.Join(err, file.Sync(), file.Close())
}

// A key is the content of a key file.
type key struct {
	file       string               // empty if there is none
	recipients []string             // age's, to which backups are encrypted; none if they are not
	signers    []ed25519.PrivateKey // each can check signatures; the first one signs
	identities []age.Identity       // open backups; a server has none
}

// readKey reads a key file. The file holds either a secret key from age-keygen, to whose public key backups are encrypted,
// or public keys and perhaps a signing key. Without a file, nothing is encrypted or signed.
func readKey(file string) (key, error) {
	k := key{file: file}
	if file == "" {
		return k, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return k, fmt.Errorf("KEY: %w; bin/oneserver backup --new-key FILE makes one", err)
	} else if err != nil {
		return k, fmt.Errorf("KEY: %w", err)
	}
	if k.identities, err = age.ParseIdentities(strings.NewReader(string(text))); err == nil {
		err = k.ofIdentities()
	} else {
		err = k.ofLines(string(text))
	}
	if err == nil && len(k.recipients) == 0 {
		err = fmt.Errorf("%s holds no key", file)
	}
	if err != nil {
		return k, fmt.Errorf("KEY: %w", err)
	}
	return k, nil
}

func (k *key) ofIdentities() error {
	for _, identity := range k.identities {
		switch identity := identity.(type) {
		case *age.X25519Identity:
			k.recipients = append(k.recipients, identity.Recipient().String())
		case *age.HybridIdentity:
			k.recipients = append(k.recipients, identity.Recipient().String())
		}
		if secret, ok := identity.(fmt.Stringer); ok {
			signing, err := signingKey(secret)
			if err != nil {
				return err
			}
			k.signers = append(k.signers, signing)
		}
	}
	return nil
}

func (k *key) ofLines(text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if code, is := strings.CutPrefix(line, signingPrefix); is {
			seed, err := base64.RawURLEncoding.DecodeString(code)
			if err != nil || len(seed) != ed25519.SeedSize {
				return fmt.Errorf("the signing key in %s is damaged", k.file)
			}
			k.signers = append(k.signers, ed25519.NewKeyFromSeed(seed))
		} else if line != "" && !strings.HasPrefix(line, "#") {
			k.recipients = append(k.recipients, line)
		}
	}
	if _, err := parseRecipients(k.recipients); err != nil { // the error may quote the file, which may hold someone's secret
		return fmt.Errorf("%s is no key of age: make one with age-keygen or with bin/oneserver backup --new-key FILE", k.file)
	}
	return nil
}

func parseRecipients(names []string) ([]age.Recipient, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return age.ParseRecipients(strings.NewReader(strings.Join(names, "\n")))
}

// suffix returns the ending of a sealed file's name.
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

// seal begins a file. zstd adds a checksum of the content, which is checked on reading.
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
	var below io.Writer = writerFunc(func(p []byte) (int, error) {
		s.sum.Write(p)
		n, err := file.Write(p)
		s.size += int64(n)
		return n, err
	})
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

// finish completes the file, makes sure that it is on disk, and returns the checksum of its content.
func (s *sealer) finish() (string, error) {
	var errs []error
	for _, one := range s.closers {
		errs = append(errs, one.Close())
	}
	errs = append(errs, s.file.Sync(), s.file.Close())
	return hex.EncodeToString(s.sum.Sum(nil)), errors.Join(errs...)
}

// abandon closes a file that will not be completed.
func (s *sealer) abandon() { s.file.Close() }

// maxWindow limits the memory that reading a file may take, as the zstd program does; our files need 4 MB.
const maxWindow = 128 << 20

// unseal opens a sealed file for reading. If read is given, it is called with the number of bytes read so far.
func unseal(ctx context.Context, name string, identities []age.Identity, read func(bytes int64)) (io.ReadCloser, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var content io.Reader = ctxio.Reader{Context: ctx, Reader: file}
	if read != nil {
		var done int64
		content = io.TeeReader(content, writerFunc(func(p []byte) (int, error) {
			done += int64(len(p))
			read(done)
			return len(p), nil
		}))
	}
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
