package journal

import (
	"crypto/sha256"
	"encoding/binary"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// zeroHash stands before the first change.
var zeroHash = make([]byte, sha256.Size)

// Hash computes the hash of a change from everything else in it, in the encoding that the proto of the
// Journal service sets out. The encoding is our own and fixed, since protobuf promises no canonical one.
func Hash(c *journalv1.Change) []byte {
	h := sha256.New()
	number := func(n int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	text := func(b []byte) {
		number(int64(len(b)))
		h.Write(b)
	}
	h.Write(c.GetPreviousHash())
	number(c.GetRevision())
	number(c.GetCommitRevision())
	number(c.GetCommitTime().GetSeconds())
	number(int64(c.GetCommitTime().GetNanos()))
	number(int64(c.GetType()))
	for _, s := range []string{c.GetService(), c.GetActor(), c.GetMethod(), c.GetRequestId(), c.GetResource()} {
		text([]byte(s))
	}
	text(c.GetBeforeDigest())
	text([]byte(c.GetAfter().GetTypeUrl()))
	text(c.GetAfter().GetValue())
	return h.Sum(nil)
}
