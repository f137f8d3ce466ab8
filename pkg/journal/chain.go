package journal

import (
	"bytes"
	"fmt"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Chain follows the hashes of a journal from change to change, wherever the changes come from: a store, archive files, or a
// service somewhere else. It also holds them against checkpoints.
type Chain struct {
	journal     string
	algorithm   Algorithm
	revision    int64
	hash        []byte
	checkpoints map[int64][]*journalv1.Checkpoint
	held        int
}

// NewChain returns a chain that stands at a revision with a hash; 0 and nil are the beginning of the journal. The journal is
// its name, such as journals/town. The checkpoints' signatures are the caller's to check: see CheckSignature.
func NewChain(journal string, a Algorithm, revision int64, hash []byte, checkpoints ...*journalv1.Checkpoint) *Chain {
	if revision == 0 {
		hash = zeroHash
	}
	c := &Chain{journal: journal, algorithm: a, revision: revision, hash: hash, checkpoints: map[int64][]*journalv1.Checkpoint{}}
	for _, p := range checkpoints {
		c.checkpoints[p.GetRevision()] = append(c.checkpoints[p.GetRevision()], p)
	}
	return c
}

// Revision returns where the chain stands.
func (c *Chain) Revision() int64 { return c.revision }

// Hash returns the hash of the revision where the chain stands.
func (c *Chain) Hash() []byte { return c.hash }

// Held returns how many checkpoints the chain was held against.
func (c *Chain) Held() int { return c.held }

// Add takes the next change. A CorruptError says why it is not the one.
func (c *Chain) Add(change *journalv1.Change) error {
	next := c.revision + 1
	bad := func(problem string) error { return &CorruptError{Revision: next, Problem: problem} }
	switch {
	case change.GetRevision() != next:
		return bad("is missing")
	case change.GetName() != fmt.Sprintf("%s/changes/%d", c.journal, next):
		return bad("does not have the name of its revision")
	case !bytes.Equal(change.GetPreviousHash(), c.hash):
		return bad("does not follow the change before it")
	case !bytes.Equal(change.GetHash(), Hash(c.algorithm, change)):
		return bad("does not have the hash of its content")
	}
	for _, p := range c.checkpoints[next] {
		if !bytes.Equal(p.GetHash(), change.GetHash()) || !p.GetCommitTime().AsTime().Equal(change.GetCommitTime().AsTime()) {
			return notSigned(p)
		}
		c.held++
	}
	c.revision, c.hash = next, change.GetHash()
	return nil
}

// End says that the journal ends where the chain stands. A checkpoint of a later revision shows that something was cut off.
func (c *Chain) End() error {
	var last int64
	for revision := range c.checkpoints {
		last = max(last, revision)
	}
	if last > c.revision {
		return cutOff(c.revision, last)
	}
	return nil
}

// cutOff says that a journal ends before a revision that was signed.
func cutOff(end, signed int64) error {
	return &CorruptError{Revision: end + 1, Problem: fmt.Sprintf(
		"is missing: the journal ends at %d, and a checkpoint was signed at %d", end, signed)}
}

// notSigned says that a change is not the one that a checkpoint is of.
func notSigned(p *journalv1.Checkpoint) error {
	return &CorruptError{Revision: p.GetRevision(), Problem: fmt.Sprintf(
		"is not what was signed in the checkpoint of key %s: the journal was made anew", p.GetKeyId())}
}
