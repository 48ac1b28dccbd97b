package binlog

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"time"
)

// fields takes values off the front of an event's body. A value that is missing is zero, and failed is then set.
type fields struct {
	left   []byte
	failed bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.left) {
		f.failed = true
		f.left = nil
		return make([]byte, max(0, min(n, 256)))
	}
	taken := f.left[:n]
	f.left = f.left[n:]
	return taken
}

func (f *fields) number(size int) uint64 {
	var raw [8]byte
	copy(raw[:], f.take(size))
	return binary.LittleEndian.Uint64(raw[:])
}

// packed takes a length-encoded integer.
func (f *fields) packed() uint64 {
	switch first := f.number(1); first {
	case 252:
		return f.number(2)
	case 253:
		return f.number(3)
	case 254:
		return f.number(8)
	default:
		return first
	}
}

// varlen takes an integer of MySQL's serialisation library. The number of ones in the lowest bits of the first byte is the
// number of bytes that follow it, and the value is in the bits after them.
func (f *fields) varlen() uint64 {
	first := byte(f.number(1))
	more := bits.TrailingZeros8(^first)
	if more >= 8 {
		return f.number(8)
	}
	return f.number(more)<<(7-more) | uint64(first)>>(more+1)
}

// signed takes a varlen whose lowest bit is the sign. The other bits are the value, complemented if it is negative.
func (f *fields) signed() int64 {
	raw := f.varlen()
	if raw&1 == 1 {
		return -int64(raw>>1) - 1
	}
	return int64(raw >> 1)
}

var errDamaged = errors.New("an event is shorter than what it should hold: this is damaged")

const differs = uint64(1) << 55 // in a commit time: another server committed it first, at a different time, which follows

// parseGTID reads a Gtid_event: flags, UUID, number, the two numbers of the logical clock, and the time.
func parseGTID(body []byte) (GTID, time.Time, error) {
	in := fields{left: body}
	in.take(1)
	gtid := GTID{Source: formatUUID(in.take(16)), Number: int64(in.number(8))}
	in.take(1 + 8 + 8)
	committed := in.number(7) &^ differs
	if in.failed || gtid.Number < 1 {
		return GTID{}, time.Time{}, errDamaged
	}
	return gtid, time.UnixMicro(int64(committed)).UTC(), nil
}

// parseTagged reads a Gtid_tagged_log_event, which is a message of MySQL's serialisation library: its version, its size, the
// last field that a reader must know, and the fields, each preceded by its number.
func parseTagged(body []byte) (GTID, time.Time, error) {
	in := fields{left: body}
	if version := in.varlen(); version != 1 {
		return GTID{}, time.Time{}, errors.New("a GTID is written in a way that is not known")
	}
	in.varlen()
	in.varlen()
	var gtid GTID
	var uuid []byte
	var label string
	var committed uint64
	for len(in.left) > 0 && committed == 0 {
		switch in.varlen() {
		case 0: // flags
			in.varlen()
		case 1:
			for range 16 {
				uuid = append(uuid, byte(in.varlen()))
			}
		case 2:
			gtid.Number = in.signed()
		case 3:
			label = string(in.take(int(min(in.varlen(), 256))))
		case 4, 5: // of the logical clock
			in.signed()
		case 6:
			committed = in.varlen()
		default:
			return GTID{}, time.Time{}, errDamaged
		}
	}
	if in.failed || len(uuid) != 16 || gtid.Number < 1 || committed == 0 || label != "" && !tag.MatchString(label) {
		return GTID{}, time.Time{}, errDamaged
	}
	if gtid.Source = formatUUID(uuid); label != "" {
		gtid.Source += ":" + label
	}
	return gtid, time.UnixMicro(int64(committed)).UTC(), nil
}

// parsePrevious reads a Previous_gtids_event: the sources and their intervals. The end of an interval is the number after
// its last one.
func parsePrevious(body []byte) (Set, error) {
	in := fields{left: body}
	sources := in.number(8)
	tagged := sources>>56 == 1
	if tagged {
		sources = sources << 8 >> 16
	}
	var set Set
	for range sources {
		source := formatUUID(in.take(16))
		if tagged {
			if label := in.take(int(min(in.varlen(), 256))); len(label) > 0 {
				if !tag.Match(label) { // the tag becomes part of a statement
					return set, errDamaged
				}
				source += ":" + string(label)
			}
		}
		for n := in.number(8); n > 0 && !in.failed; n-- {
			first, after := int64(in.number(8)), int64(in.number(8))
			if first < 1 || after <= first {
				return set, errDamaged
			}
			set.add(source, interval{first, after - 1})
		}
		if in.failed {
			break
		}
	}
	if in.failed || len(in.left) > 0 {
		return set, errDamaged
	}
	return set, nil
}

// parseTableMap reads the schema of the table whose rows the following events change.
func parseTableMap(body []byte) (schema string, err error) {
	in := fields{left: body}
	in.take(6 + 2) // the table's number and flags
	schema = string(in.take(int(in.packed())))
	if in.failed {
		return "", errDamaged
	}
	return schema, nil
}

// A query is a statement in the log.
type query struct {
	schema  string   // the session's
	schemas []string // that the statement changes, as far as the log says
	many    bool     // the statement changes more schemas than the log names
	text    string
}

// statusSizes holds the sizes of the session variables that precede a statement in the log, by the variables' numbers.
var statusSizes = map[uint64]int{0: 4, 1: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4, 13: 3, 14: 8, 15: 8, 16: 1, 17: 8, 18: 2, 19: 1, 20: 1}

func parseQuery(body []byte) (query, error) {
	in := fields{left: body}
	in.take(4 + 4) // thread, seconds
	length := int(in.number(1))
	in.take(2) // error
	status := fields{left: in.take(int(in.number(2)))}
	q := query{schema: string(in.take(length))}
	in.take(1) // ends the name
	q.text = string(in.left)
	for len(status.left) > 0 {
		switch kind := status.number(1); kind {
		case 2: // the catalogue, with a byte at its end
			status.take(int(status.number(1)) + 1)
		case 5, 6: // time zone, catalogue
			status.take(int(status.number(1)))
		case 11: // the account on whose behalf it ran: user and host
			status.take(int(status.number(1)))
			status.take(int(status.number(1)))
		case 12:
			count := status.number(1)
			if q.many = count == 254; q.many {
				break
			}
			for range count {
				end := 0
				for end < len(status.left) && status.left[end] != 0 {
					end++
				}
				q.schemas = append(q.schemas, string(status.take(end)))
				status.take(1)
			}
		default:
			size, known := statusSizes[kind]
			if !known { // of a newer server; they come in the order of their numbers, so everything needed has been read
				if kind < 12 {
					return q, errDamaged
				}
				status.left = nil
			}
			status.take(size)
		}
	}
	if in.failed || status.failed {
		return q, errDamaged
	}
	return q, nil
}
