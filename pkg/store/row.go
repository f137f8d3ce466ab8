package store

import (
	"bytes"
	"encoding/binary"
)

// A row is stored as the revision of its last change, 8 bytes, big-endian, and then the message. The revision is there, and not
// under a key of its own, because that key would be on another page: among many rows each change would write that page too.

// revisionBytes is how many bytes of a stored row are the revision.
const revisionBytes = 8

// RowKey returns where the row of a name is.
func RowKey(kind, name string) []byte { return []byte(rowPrefix + kind + "/" + name) }

// JoinRow returns a row as it is stored.
func JoinRow(revision int64, message []byte) []byte {
	stored := make([]byte, 0, revisionBytes+len(message))
	return append(binary.BigEndian.AppendUint64(stored, uint64(revision)), message...)
}

// SplitRow returns what JoinRow was given. What is too short to be a stored row has revision 0 and is the message.
func SplitRow(stored []byte) (revision int64, message []byte) {
	if len(stored) < revisionBytes {
		return 0, stored
	}
	return int64(binary.BigEndian.Uint64(stored)), stored[revisionBytes:]
}

// Kinds returns the kinds of which there are rows, by jumping from one to the next.
func Kinds(r Reader) (kinds []string, err error) {
	prefix := []byte(rowPrefix)
	for from, more := prefix, true; more; {
		more = false
		for e, err := range r.Scan(from, PrefixEnd(prefix), Ascending) {
			if err != nil {
				return nil, err
			}
			kind, _, _ := bytes.Cut(e.Key[len(prefix):], []byte("/"))
			kinds = append(kinds, string(kind))
			from, more = PrefixEnd(RowKey(string(kind), "")), true
			break
		}
	}
	return kinds, nil
}
