package backup

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A checksum shows that a file is unchanged, but anyone who changes the file can change the checksum too. A signature shows
// that the writer had the signing key. Encryption with age does not, since anybody can encrypt to a public key.
//
// The signing key is derived from age's secret key but does not reveal it. The holder of the secret key can thus check the
// signatures, while a server that makes backups needs only the signing key and the public key, and cannot open any backup.

const (
	signatureFile = sumsFile + ".sig"
	serverSuffix  = ".server"          // of the file with the part of a key that a server needs
	signingPrefix = "ONESERVER-SIGN-1" // begins the line with the signing key
	ofSums        = "oneserver backup 1\n"
	ofLogs        = "oneserver binary logs 1\n"
)

// signingKey derives the signing key from a secret key of age.
func signingKey(identity fmt.Stringer) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, []byte(identity.String()), nil, "oneserver backup signing key 1", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// signingLine returns the line that stores a signing key in a file.
func signingLine(key ed25519.PrivateKey) string {
	return signingPrefix + base64.RawURLEncoding.EncodeToString(key.Seed())
}

// signedBy reports whether one of the keys has signed a text.
func signedBy(keys []ed25519.PrivateKey, text, signature string) bool {
	code, err := base64.StdEncoding.DecodeString(strings.TrimSpace(signature))
	if err != nil {
		return false
	}
	for _, key := range keys {
		if ed25519.Verify(key.Public().(ed25519.PublicKey), []byte(text), code) {
			return true
		}
	}
	return false
}

func sign(key ed25519.PrivateKey, text string) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

// withSigners gives backups the keys that check and sign their lists of binary logs.
func withSigners(all []Backup, keys []ed25519.PrivateKey) []Backup {
	for i := range all {
		all[i].signers = keys
	}
	return all
}

// signed reports whether a backup has a signature, valid or not.
func (b Backup) signed() bool {
	_, err := os.Stat(filepath.Join(b.Dir, signatureFile))
	return err == nil
}

var errUnsigned = errors.New("is not signed")

// authenticate returns an error if a backup, including the list of its binary logs, was not made by the holder of one of the
// keys. Checksums alone prove nothing about the writer. verify and compare check the files themselves.
func (b Backup) authenticate(keys []ed25519.PrivateKey) error {
	sums, err := os.ReadFile(filepath.Join(b.Dir, sumsFile))
	if err != nil {
		return fmt.Errorf("%s is not complete: %w", b.Dir, err)
	}
	signature, err := os.ReadFile(filepath.Join(b.Dir, signatureFile))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s %w: it may have been made by anybody", b.Dir, errUnsigned)
	} else if err != nil {
		return err
	}
	if !signedBy(keys, ofSums+string(sums), string(signature)) {
		return fmt.Errorf("%s was signed with another key than the one that was given, or was changed since", b.Dir)
	}
	manifest, err := os.ReadFile(filepath.Join(b.Dir, manifestFile))
	if err != nil {
		return err
	}
	if !strings.Contains(string(sums), fmt.Sprintf("%x  %s\n", sha256.Sum256(manifest), manifestFile)) {
		return fmt.Errorf("%s is damaged: %s is not as it was when it was made", b.Dir, manifestFile)
	}
	_, err = withSigners([]Backup{b}, keys)[0].logs()
	return err
}

// logsText returns the text that the signature of a list of binary logs covers. It includes the manifest's hash, so the
// signature is valid for this backup only.
func (b Backup) logsText(logs Logs) (string, error) {
	logs.Signature = ""
	text, err := json.Marshal(logs)
	if err != nil {
		return "", err
	}
	manifest, err := os.ReadFile(filepath.Join(b.Dir, manifestFile))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%x\n%s", ofLogs, sha256.Sum256(manifest), text), nil
}

// trusted returns the backups whose logs may continue another backup. With a key, these are the backups that the key has
// signed, and binary logs can be added to them. unsigned also accepts backups without a signature.
func (k key) trusted(all []Backup, unsigned bool, warn func(string, ...any)) (some []Backup) {
	if k.file == "" {
		return all
	}
	for _, b := range withSigners(all, k.signers) {
		if err := b.authenticate(k.signers); err != nil && !(unsigned && errors.Is(err, errUnsigned)) {
			warn("warning: nothing is taken from %s: %v", b.name(), err)
			continue
		}
		some = append(some, b)
	}
	return some
}

// trusts authenticates a backup if the restore has a key. unsigned accepts a backup without a signature, with a warning.
func (k key) trusts(b Backup, unsigned bool, warn func(string, ...any)) error {
	if k.file == "" {
		return nil
	}
	err := b.authenticate(k.signers)
	if !errors.Is(err, errUnsigned) {
		return err
	}
	if !unsigned {
		return fmt.Errorf("%w; if you know where it comes from, UNSIGNED=1 takes it", err)
	}
	warn("warning: %v", err)
	return nil
}
