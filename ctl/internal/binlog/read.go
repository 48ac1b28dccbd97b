// Package binlog reads MySQL's binary logs as far as a restore must understand them: which transactions are in a log, in
// which order, when each was committed, and which schemas it changes. The rows themselves are left to MySQL.
//
// The format: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html, and the
// classes of mysql::binlog::event in MySQL's libs/mysql/binlog/event.
package binlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The events whose content is read, by their numbers in the log.
const (
	queryEvent       = 2
	stopEvent        = 3
	rotateEvent      = 4
	formatEvent      = 15
	executeLoadEvent = 18
	tableMapEvent    = 19
	incidentEvent    = 26
	gtidEvent        = 33
	anonymousEvent   = 34
	previousEvent    = 35
	xaPrepareEvent   = 38
	payloadEvent     = 40
	taggedEvent      = 42 // the last known event
)

const (
	headerSize   = 19
	checksumSize = 4
	inUse        = 1 // a flag in the format event's header: the log was not closed. The checksum is calculated without it.
	maxEvent     = 1 << 30
)

// A Transaction is what a log records about a transaction.
type Transaction struct {
	GTID      GTID
	At        int64     // where its first event begins in the log
	Committed time.Time // by the clock of the server, to the microsecond
	Effect    Effect
	Statement bool   // whether a statement, not only row events, changes the site's schema and perhaps its definitions
	Why       string // the reason if Effect is Unclear
}

// A Log holds the facts about a log that was read to its end.
type Log struct {
	Began    time.Time // by the clock of the server, to the second
	Previous Set       // what was committed before its first transaction
	Closed   time.Time // when the server continued in another log, to the second; zero if the log does not say so
	Size     int64
}

// Read reads a log to its end and passes each transaction to the function each, in the log's order. It returns an error if
// anything is damaged, cut off or unknown, or if each returns one.
func Read(log io.Reader, site string, each func(Transaction) error) (Log, error) {
	r := &reader{in: bufio.NewReaderSize(log, 256<<10), site: site, each: each}
	err := r.read()
	if err != nil {
		err = fmt.Errorf("position %d: %w", r.at, err)
	}
	return r.log, err
}

type reader struct {
	in       *bufio.Reader
	site     string
	each     func(Transaction) error
	log      Log
	at       int64 // where the event being read begins
	checksum bool
	open     *Transaction // whose events are being read
	found    effects
}

func (r *reader) read() error {
	magic := make([]byte, 4)
	switch _, err := io.ReadFull(r.in, magic); {
	case err != nil:
		return fmt.Errorf("this is no binary log: %w", err)
	case bytes.Equal(magic, []byte("\xfdbin")):
		return errors.New("this binary log is encrypted by the server (binlog_encryption), which cannot be read outside it")
	case !bytes.Equal(magic, []byte("\xfebin")):
		return errors.New("this is no binary log")
	}
	r.at = 4
	r.checksum = false // the first event says whether there are checksums
	for first := true; ; first = false {
		header := make([]byte, headerSize)
		if _, err := io.ReadFull(r.in, header); errors.Is(err, io.EOF) && !first {
			r.log.Size = r.at
			return r.end()
		} else if err != nil {
			return cutOff(err)
		}
		size := int64(binary.LittleEndian.Uint32(header[9:]))
		kind, seconds := header[4], binary.LittleEndian.Uint32(header)
		if size < headerSize || size > maxEvent {
			return fmt.Errorf("an event of %d bytes: this is damaged", size)
		}
		if first != (kind == formatEvent) {
			return fmt.Errorf("event %d where the description of the format should be, or one more of those: this is damaged", kind)
		}
		body, err := r.body(header, size)
		if err != nil {
			return err
		}
		if !r.log.Closed.IsZero() {
			return errors.New("it goes on after its end: this is damaged")
		}
		if err := r.event(kind, time.Unix(int64(seconds), 0).UTC(), body); err != nil {
			return err
		}
		r.at += size
	}
}

// body reads the rest of an event and compares it with its checksum. It returns nothing for an event whose content is not
// read.
func (r *reader) body(header []byte, size int64) ([]byte, error) {
	left, kind := size-headerSize, header[4]
	var body []byte
	sum := crc32.NewIEEE()
	if kind == formatEvent {
		header = bytes.Clone(header)
		header[17] &^= inUse
	}
	sum.Write(header)
	switch kind {
	case queryEvent, rotateEvent, formatEvent, executeLoadEvent, tableMapEvent, incidentEvent, gtidEvent, previousEvent, payloadEvent, taggedEvent:
		buffer := bytes.NewBuffer(make([]byte, 0, min(left, 1<<20))) // a damaged size must not cost memory
		if _, err := io.CopyN(buffer, r.in, left); err != nil {
			return nil, cutOff(err)
		}
		body = buffer.Bytes()
		if kind == formatEvent {
			if len(body) < 5 {
				return nil, errors.New("the description of the format is too short: this is damaged")
			}
			switch algorithm := body[len(body)-checksumSize-1]; algorithm {
			case 0:
			case 1:
				r.checksum = true
			default:
				return nil, fmt.Errorf("checksums of a kind %d, which is not known", algorithm)
			}
		}
		if !r.checksum && kind != formatEvent { // which always has one
			return body, nil
		}
		if len(body) < checksumSize {
			return nil, errors.New("an event without its checksum: this is damaged")
		}
		sum.Write(body[:len(body)-checksumSize])
		if sum.Sum32() != binary.LittleEndian.Uint32(body[len(body)-checksumSize:]) {
			return nil, errors.New("an event differs from its checksum: this is damaged")
		}
		return body[:len(body)-checksumSize], nil
	}
	if !r.checksum {
		_, err := io.CopyN(io.Discard, r.in, left)
		return nil, cutOff(err)
	}
	if left < checksumSize {
		return nil, errors.New("an event without its checksum: this is damaged")
	}
	if _, err := io.CopyN(sum, r.in, left-checksumSize); err != nil {
		return nil, cutOff(err)
	}
	var want [checksumSize]byte
	if _, err := io.ReadFull(r.in, want[:]); err != nil {
		return nil, cutOff(err)
	}
	if sum.Sum32() != binary.LittleEndian.Uint32(want[:]) {
		return nil, errors.New("an event differs from its checksum: this is damaged")
	}
	return nil, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off in the middle of an event")
	}
	return err
}

// event processes one event, from the log or from a compressed event.
func (r *reader) event(kind byte, when time.Time, body []byte) error {
	switch kind {
	case gtidEvent, taggedEvent:
		if err := r.end(); err != nil {
			return err
		}
		parse := parseGTID
		if kind == taggedEvent {
			parse = parseTagged
		}
		gtid, committed, err := parse(body)
		if err != nil {
			return err
		}
		r.open, r.found = &Transaction{GTID: gtid, At: r.at, Committed: committed}, effects{}
	case formatEvent:
		r.log.Began = when
	case anonymousEvent:
		return errors.New("a transaction without a GTID, by which it could be found: was gtid_mode OFF?")
	case previousEvent:
		var err error
		r.log.Previous, err = parsePrevious(body)
		return err
	case rotateEvent, stopEvent:
		if err := r.end(); err != nil {
			return err
		}
		r.log.Closed = when
	case incidentEvent:
		return errors.New("the server notes here that events are missing: what comes after it can be restored from a later backup only")
	case tableMapEvent:
		schema, err := parseTableMap(body)
		if err != nil {
			return err
		}
		r.found.rows(schema, r.site)
	case queryEvent:
		q, err := parseQuery(body)
		if err != nil {
			return err
		}
		r.found.statement(q, r.site)
	case executeLoadEvent:
		r.found.unclear("LOAD DATA, logged as a statement")
	case xaPrepareEvent:
		r.found.site = true // the events before named its tables, and another transaction commits it
	case payloadEvent:
		return r.payload(body)
	default:
		if kind > taggedEvent {
			return fmt.Errorf("an event of a kind %d, which is not known", kind)
		}
	}
	return nil
}

// end passes on the open transaction, whose last event has been read.
func (r *reader) end() error {
	if r.open == nil {
		return nil
	}
	done := *r.open
	r.open = nil
	done.Effect, done.Why = r.found.sum()
	done.Statement = r.found.byStatement
	return r.each(done)
}

// payload processes the events of a transaction that the server has compressed (binlog_transaction_compression).
func (r *reader) payload(body []byte) error {
	in := fields{left: body}
	compression, size := uint64(255), uint64(0)
	for {
		kind := in.packed()
		if in.failed || kind == 0 {
			break
		}
		length := in.packed()
		value := fields{left: in.take(int(min(length, uint64(len(body)))))}
		switch kind {
		case 1:
			size = value.packed()
		case 2:
			compression = value.packed()
		}
	}
	if in.failed || size != uint64(len(in.left)) {
		return errors.New("a compressed transaction is damaged")
	}
	var plain io.Reader = bytes.NewReader(in.left)
	switch compression {
	case 0:
		decoder, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxEvent))
		if err != nil {
			return err
		}
		defer decoder.Close()
		plain = decoder
	case 255:
	default:
		return fmt.Errorf("a transaction is compressed in a way %d, which is not known", compression)
	}
	for events := bufio.NewReader(plain); ; { // which have no checksums of their own
		header := make([]byte, headerSize)
		if _, err := io.ReadFull(events, header); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("a compressed transaction is damaged: %w", err)
		}
		length := int64(binary.LittleEndian.Uint32(header[9:])) - headerSize
		if length < 0 || length > maxEvent {
			return errors.New("a compressed transaction is damaged")
		}
		var inner bytes.Buffer
		if _, err := io.CopyN(&inner, events, length); err != nil {
			return fmt.Errorf("a compressed transaction is damaged: %w", err)
		}
		if header[4] == payloadEvent {
			return errors.New("a compressed transaction within another")
		}
		if err := r.event(header[4], time.Time{}, inner.Bytes()); err != nil {
			return err
		}
	}
}
