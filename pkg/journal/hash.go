package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Algorithm is how the hashes of a journal are computed.
type Algorithm = journalv1.HashAlgorithm

// The algorithms. A journal keeps the one that it was begun with.
const (
	SHA256 = journalv1.HashAlgorithm_HASH_ALGORITHM_SHA256
	SM3    = journalv1.HashAlgorithm_HASH_ALGORITHM_SM3
)

// HashSize is the size of a hash, whatever the algorithm.
const HashSize = sha256.Size

// zeroHash stands before the first change.
var zeroHash = make([]byte, HashSize)

// algorithmNames are the algorithms as settings, checkpoints and files name them.
var algorithmNames = map[Algorithm]string{SHA256: "sha256", SM3: "sm3"}

// AlgorithmNamed returns the algorithm of a name.
func AlgorithmNamed(name string) (Algorithm, error) {
	for a, n := range algorithmNames {
		if n == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("there is no hash algorithm %q: it is sha256 or sm3", name)
}

func newHash(a Algorithm) hash.Hash {
	if a == SM3 {
		return sm3.New()
	}
	return sha256.New()
}

// Hash computes the hash of a change from everything else in it, in the encoding that the proto of the
// Journal service sets out. The encoding is our own and fixed, since protobuf promises no canonical one.
func Hash(a Algorithm, c *journalv1.Change) []byte {
	h := newHash(a)
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
