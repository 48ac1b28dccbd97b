package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"oneserver/ctl/internal/ctxio"
)

const (
	manifestFile = "manifest.json"
	sumsFile     = "SHA256SUMS" // in the form of sha256sum, so that a copy can be checked without this tool
	logsFile     = "logs.json"
	nameLayout   = "2006-01-02T15-04-05Z" // no colon, which Windows refuses; sorts by time
	partial      = ".partial"
)

// A Manifest says what a backup holds.
type Manifest struct {
	Schema        string
	Defaults      Defaults  // of the schema; empty in a backup made before they were recorded
	Taken         time.Time // the dump's view of the data is no newer than this
	ServerVersion string
	ServerUUID    string // of the server whose binary logs continue this backup
	GTIDs         string // the transactions in that view
	Log           Position
	LogBegan      time.Time // when the server began that binary log, to the second; zero in a backup made before this was recorded
	Epoch         int       // how often the server began a new binary log between backups; positions compare only within the same epoch
	Dump          string    // the file's name
	Size          int64     // the size of that file
	Plain         int64     // the size of the SQL in it
	Recipients    []string  // age's; none if the backup is not encrypted
	Tables        []Table
	Outside       []string // what the server had that is not in the backup: views, other schemas, accounts ...
}

// Position is a place in the binary log.
type Position struct {
	File string
	At   uint64
}

// A Table describes one table in the dump. Its rows are counted and hashed as they are dumped, so both figures match the
// dump and cost the server nothing.
type Table struct {
	Name   string
	Rows   int64
	SHA256 string // of its definition and its rows, as mysqldump writes them in the order of the primary key
}

// Logs lists the binary logs that continue a backup.
type Logs struct {
	Until     time.Time // the logs contain everything that was committed before this
	Files     []Log
	Signature string `json:",omitempty"` // of the other fields and the backup's manifest; in the same file, so that both change together
}

// A Log is one archived binary log.
type Log struct {
	Name   string // its name on the server
	File   string
	Size   int64
	SHA256 string // the checksum of File
}

// logName matches the names of binary logs.
var logName = regexp.MustCompile(`^[\w-]+(\.[\w-]+)*\.[0-9]{6,9}$`)

// A Backup is a folder with a complete backup.
type Backup struct {
	Dir string
	Manifest
	signers []ed25519.PrivateKey // check its list of binary logs, if the backup is signed; the first one also signs it
}

func (b Backup) name() string { return filepath.Base(b.Dir) }

// open reads the manifest of a backup's folder. Of the other files, it checks only the size of the dump.
func open(dir string) (Backup, error) {
	b := Backup{Dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return b, fmt.Errorf("%s is damaged: %s: %w", dir, manifestFile, err)
	}
	if b.Dump == "" || filepath.Base(b.Dump) != b.Dump || b.Schema != schema || b.Log.File == "" {
		return b, fmt.Errorf("%s is not a backup of this site: %s does not name a dump of %s", dir, manifestFile, schema)
	}
	if !logName.MatchString(b.Log.File) { // this becomes a file name, here and in db
		return b, fmt.Errorf("%s is damaged: %s says %q of the binary log, which no log is called", dir, manifestFile, b.Log.File)
	}
	if info, err := os.Stat(filepath.Join(dir, b.Dump)); err != nil {
		return b, fmt.Errorf("%s is not complete: %w", dir, err)
	} else if info.Size() != b.Size {
		return b, fmt.Errorf("%s is damaged: %s has %d bytes and had %d when it was made; use another copy or another backup", dir, b.Dump, info.Size(), b.Size)
	}
	return b, nil
}

// list returns the complete backups in a folder, sorted by inOrder, and an error for each folder that looks like a backup
// but cannot be read.
func list(dir string) (all []Backup, unreadable []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for _, entry := range entries {
		if _, err := time.Parse(nameLayout, entry.Name()); err != nil {
			continue
		}
		if b, err := open(filepath.Join(dir, entry.Name())); err != nil {
			unreadable = append(unreadable, err)
		} else {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, inOrder)
	return all, unreadable, nil
}

// writeManifest writes the manifest, the checksums of it and of the dump, and, if there is a key, their signature.
func (b Backup) writeManifest(dumpSum string) error {
	text, err := json.MarshalIndent(b.Manifest, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	sums := fmt.Sprintf("%s  %s\n%x  %s\n", dumpSum, b.Dump, sha256.Sum256(text), manifestFile)
	err = errors.Join(
		writeFile(filepath.Join(b.Dir, manifestFile), text),
		writeFile(filepath.Join(b.Dir, sumsFile), []byte(sums)))
	if len(b.signers) > 0 {
		err = errors.Join(err, writeFile(filepath.Join(b.Dir, signatureFile), []byte(sign(b.signers[0], ofSums+sums)+"\n")))
	}
	return err
}

// verify reads the whole backup and compares it with its checksums.
func (b Backup) verify(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(b.Dir, sumsFile))
	if err != nil {
		return fmt.Errorf("%s is not complete: %w", b.Dir, err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	for _, name := range []string{manifestFile, b.Dump} {
		if err := b.compare(ctx, name, sums[name]); err != nil {
			return err
		}
	}
	return nil
}

// compare reads a file of the backup and compares it with its checksum.
func (b Backup) compare(ctx context.Context, name, want string) error {
	file, err := os.Open(filepath.Join(b.Dir, name))
	if err != nil {
		return fmt.Errorf("%s is not complete: %w", b.Dir, err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, ctxio.Reader{Context: ctx, Reader: file}); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("%s is damaged: its SHA-256 is %s and was %s when it was made; use another copy or another backup", filepath.Join(b.Dir, name), got, want)
	}
	return nil
}

// logs returns the binary logs that are archived with the backup.
func (b Backup) logs() (Logs, error) {
	logs := Logs{Until: b.Taken}
	text, err := os.ReadFile(filepath.Join(b.Dir, logsFile))
	if errors.Is(err, os.ErrNotExist) {
		return logs, nil
	} else if err != nil {
		return logs, err
	}
	if err := json.Unmarshal(text, &logs); err != nil {
		return logs, fmt.Errorf("%s is damaged: %w", filepath.Join(b.Dir, logsFile), err)
	}
	for _, log := range logs.Files {
		if !logName.MatchString(log.Name) || filepath.Base(log.File) != log.File {
			return logs, fmt.Errorf("%s is damaged: it says %q, in %q, which no binary log of a backup is called", filepath.Join(b.Dir, logsFile), log.Name, log.File)
		}
	}
	if len(b.signers) > 0 && b.signed() {
		said, err := b.logsText(logs)
		if err != nil {
			return logs, err
		}
		if !signedBy(b.signers, said, logs.Signature) {
			return logs, fmt.Errorf("%s was not written with this key, or was changed since: its signature is another's", filepath.Join(b.Dir, logsFile))
		}
	}
	return logs, nil
}

func (b Backup) writeLogs(logs Logs) error {
	logs.Signature = ""
	if len(b.signers) > 0 && b.signed() { // a signature on a list that anybody may have made proves nothing
		said, err := b.logsText(logs)
		if err != nil {
			return err
		}
		logs.Signature = sign(b.signers[0], said)
	}
	text, err := json.MarshalIndent(logs, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(b.Dir, logsFile), append(text, '\n'))
}

// writeFile writes a file to disk so that either the complete file appears under its name, or none.
func writeFile(name string, content []byte) error {
	file, err := create(name + partial)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, bytes.NewReader(content))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+partial, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// create makes a file that only its owner can read.
func create(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
}

// syncDir makes sure that new names in a folder are on disk.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // which cannot sync a folder
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
