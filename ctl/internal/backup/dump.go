package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A summary holds what a dump says about its own content.
type summary struct {
	log    Position
	gtids  string
	taken  time.Time // the time at which the position was read
	plain  int64
	tables []Table
}

var (
	position = regexp.MustCompile(`SOURCE_LOG_FILE='([^']+)', SOURCE_LOG_POS=(\d+)`)
	executed = regexp.MustCompile(`GTID_PURGED=(?:/\*!80000 '\+'\*/ )?'\+?([^']*)'`)
	section  = regexp.MustCompile("^-- Table structure for table `(.+)`\n$")
)

var errCutOff = errors.New("the dump is cut off: its last line is not there")

// inspect reads a dump to its end and sums it up. mysqldump writes a line break within a value as \n (a backslash and an n),
// so a line never begins with a user's text. Quotes show whether a parenthesis belongs to a value or begins a row.
//
// part returns the part of a line that counts towards its table's checksum: wholeLine or withoutCounter.
func inspect(dump io.Reader, part func(line []byte) []byte) (summary, error) {
	var (
		s        summary
		table    hash.Hash
		rows     rowCounter
		header   strings.Builder
		complete bool
	)
	endTable := func() {
		if table != nil {
			s.tables[len(s.tables)-1].SHA256 = hex.EncodeToString(table.Sum(nil))
		}
	}
	lines := bufio.NewReaderSize(dump, 256<<10)
	counted, inserts := false, false // whether the line is part of the checksum, and whether it holds rows
	for atStart := true; ; {
		piece, err := lines.ReadSlice('\n')
		s.plain += int64(len(piece))
		sum := piece
		if atStart && len(piece) > 0 {
			counted, inserts = false, false
			switch {
			case bytes.HasPrefix(piece, []byte("-- ")) || len(piece) == 3 && piece[0] == '-':
				if match := section.FindSubmatch(piece); match != nil {
					endTable()
					table = sha256.New()
					s.tables = append(s.tables, Table{Name: strings.ReplaceAll(string(match[1]), "``", "`")})
				} else if match := position.FindSubmatch(piece); match != nil && table == nil {
					s.log.File, s.taken = string(match[1]), time.Now().UTC()
					if s.log.At, err = strconv.ParseUint(string(match[2]), 10, 64); err != nil {
						return s, err
					}
				}
				complete = bytes.HasPrefix(piece, []byte("-- Dump completed"))
			case bytes.HasPrefix(piece, []byte("/*!40")), bytes.HasPrefix(piece, []byte("SET @@")), piece[0] == '\n': // settings of the session
			case bytes.HasPrefix(piece, []byte("INSERT INTO ")):
				counted, inserts = true, true
				rows = rowCounter{}
			default:
				counted, sum = true, part(piece)
			}
			if table == nil && header.Len() < 1<<20 {
				header.Write(piece)
			}
		}
		if counted && table != nil {
			table.Write(sum)
			if inserts {
				s.tables[len(s.tables)-1].Rows += rows.count(piece)
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			atStart = false
		case errors.Is(err, io.EOF):
			endTable()
			if match := executed.FindStringSubmatch(header.String()); match != nil {
				s.gtids = strings.ReplaceAll(match[1], "\n", "")
			}
			if !complete {
				return s, errCutOff
			}
			return s, nil
		case err != nil:
			return s, fmt.Errorf("read the dump: %w", err)
		default:
			atStart = true
		}
	}
}

func wholeLine(line []byte) []byte { return line }

var nextValue = regexp.MustCompile(`^(\) ENGINE=\w+) AUTO_INCREMENT=\d+`)

// withoutCounter removes the next AUTO_INCREMENT value from a table's definition. That value belongs to no view of the data:
// it advances with every transaction, even for mysqldump --single-transaction.
func withoutCounter(line []byte) []byte {
	if !bytes.HasPrefix(line, []byte(") ENGINE=")) {
		return line
	}
	return nextValue.ReplaceAll(line, []byte("$1"))
}

// A rowCounter counts the rows of one INSERT statement, which arrives in pieces.
type rowCounter struct {
	values  bool // past the word VALUES
	text    bool
	escaped bool
	depth   int
}

func (c *rowCounter) count(piece []byte) (rows int64) {
	if !c.values {
		at := bytes.Index(piece, []byte("VALUES"))
		if at < 0 {
			return 0
		}
		c.values, piece = true, piece[at:]
	}
	for i := 0; i < len(piece); i++ {
		switch b := piece[i]; {
		case c.escaped:
			c.escaped = false
		case c.text:
			next := bytes.IndexAny(piece[i:], `'\`)
			if next < 0 {
				return rows
			}
			i += next
			if piece[i] == '\\' {
				c.escaped = true
			} else {
				c.text = false
			}
		case b == '\'':
			c.text = true
		case b == '(':
			if c.depth == 0 {
				rows++
			}
			c.depth++
		case b == ')':
			c.depth--
		}
	}
	return rows
}
