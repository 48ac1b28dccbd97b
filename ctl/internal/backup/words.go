package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// words holds, for each table, the lines with full-text indexes in its definition. Building these indexes takes many times
// as long as everything else about a table, and nothing uses them in the throw-away server. So a dump is loaded there
// without them, and the site's server gets the definitions with them.
type words map[string][]string

var (
	tableBegins = regexp.MustCompile("^CREATE TABLE `(.+)` \\($")
	fullText    = regexp.MustCompile("^  FULLTEXT KEY `[^`]+` \\(`[^`]+`(?:,`[^`]+`)*\\)(?: /\\*!50100 WITH PARSER `ngram` \\*/ )?$") // only in these two forms; others stay
)

// without copies a dump without its full-text indexes, and returns their lines.
func without(dump io.Reader, to io.Writer) (words, error) {
	taken := words{}
	err := rewrite(dump, to, func(table string, lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool {
			if !fullText.MatchString(line) {
				return false
			}
			taken[table] = append(taken[table], line)
			return true
		})
	})
	return taken, err
}

// with copies a dump and puts the full-text indexes back.
func (w words) with(dump io.Reader, to io.Writer) error {
	return rewrite(dump, to, func(table string, lines []string) []string {
		at := len(lines) // MySQL lists foreign keys and checks after the indexes
		for at > 0 && bytes.HasPrefix([]byte(lines[at-1]), []byte("  CONSTRAINT ")) {
			at--
		}
		return slices.Insert(lines, at, w[table]...)
	})
}

// rewrite copies a dump and lets change edit the lines of each table's definition, without the commas between them.
// mysqldump writes each INSERT on one line and a definition on several; no other statement of several lines begins like a
// definition.
func rewrite(dump io.Reader, to io.Writer, change func(table string, lines []string) []string) error {
	in, out := bufio.NewReaderSize(dump, 256<<10), bufio.NewWriterSize(to, 256<<10)
	for whole := true; ; {
		piece, err := in.ReadSlice('\n')
		if begins := tableBegins.FindSubmatch(bytes.TrimSuffix(piece, []byte("\n"))); whole && begins != nil {
			name := string(bytes.ReplaceAll(begins[1], []byte("``"), []byte("`")))
			out.Write(piece)
			lines, end, failed := definition(in)
			if failed != nil {
				return fmt.Errorf("the definition of %s: %w", name, failed)
			}
			lines = change(name, lines)
			for i, line := range lines {
				out.WriteString(line)
				if i < len(lines)-1 {
					out.WriteByte(',')
				}
				out.WriteByte('\n')
			}
			out.WriteString(end)
			continue
		}
		if _, failed := out.Write(piece); failed != nil {
			return failed
		}
		switch {
		case errors.Is(err, io.EOF):
			return out.Flush()
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
		whole = err == nil
	}
}

// maxDefinition is larger than any table definition that MySQL writes, in bytes. It limits how much memory a damaged dump
// can take.
const maxDefinition = 16 << 20

// definition reads the lines of one table's definition. It returns the last line separately, as end.
func definition(in *bufio.Reader) (lines []string, end string, err error) {
	var line []byte
	for size := 0; size <= maxDefinition; {
		piece, err := in.ReadSlice('\n')
		size += len(piece)
		line = append(line, piece...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, "", io.ErrUnexpectedEOF
		case line[0] == ')':
			return lines, string(line), nil
		}
		lines = append(lines, string(bytes.TrimSuffix(line[:len(line)-1], []byte(","))))
		line = line[:0]
	}
	return nil, "", fmt.Errorf("it is longer than %d bytes", maxDefinition)
}
