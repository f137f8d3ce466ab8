package journal

import (
	"context"
	"errors"
	"math"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Head returns the newest point of the journal.
func (db *DB) Head(ctx context.Context) (head *journalv1.Head, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		if head, err = db.readHead(r); err != nil {
			return err
		}
		point, err := readPruned(r)
		head.FirstRevision = point.GetRevision() + 1
		return err
	})
	if err == nil {
		head.Name = db.name()
	}
	return head, err
}

// readHead reads the head. A journal that has not begun gets the algorithm that it will begin with.
func (db *DB) readHead(r store.Reader) (*journalv1.Head, error) {
	head, err := readHead(r)
	if err == nil && head.GetRevision() == 0 {
		head.HashAlgorithm = db.algorithm
	}
	return head, err
}

// HeadOf returns the newest point of the journal within a transaction that reads other things as well.
func HeadOf(r store.Reader) (*journalv1.Head, error) {
	head, err := readHead(r)
	if err != nil {
		return nil, err
	}
	point, err := readPruned(r)
	head.FirstRevision = point.GetRevision() + 1
	return head, err
}

// readHead reads the head as it is stored: without the algorithm if that is SHA-256, so that no bit of it can be other than it
// was written without the chain saying so.
func readHead(r store.Reader) (*journalv1.Head, error) {
	raw, err := r.Get([]byte(headKey))
	if errors.Is(err, store.ErrNotFound) {
		return &journalv1.Head{Hash: zeroHash, HashAlgorithm: SHA256}, nil
	}
	if err != nil {
		return nil, err
	}
	head := &journalv1.Head{}
	if err := proto.Unmarshal(raw, head); err != nil {
		return nil, &CorruptError{Problem: "the head: " + err.Error()}
	}
	switch head.GetHashAlgorithm() {
	case journalv1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED:
		head.HashAlgorithm = SHA256
	case SM3:
	default:
		return nil, &CorruptError{Revision: head.GetRevision(), Problem: "is under a head of an unknown hash algorithm"}
	}
	return head, nil
}

// Latest returns the last change of a resource, or store.ErrNotFound. It is what others keep as evidence, so it is held
// against its own hash.
func Latest(r store.Reader, resource string) (*journalv1.Change, error) {
	head, err := readHead(r)
	if err != nil {
		return nil, err
	}
	kinds, err := store.Kinds(r)
	if err != nil {
		return nil, err
	}
	revision, err := latest(r, kinds, resource)
	if err != nil {
		return nil, err
	}
	c, err := find(r, resource, revision)
	var gone *PrunedError
	if errors.As(err, &gone) {
		err = &CorruptError{Revision: revision, Problem: "is missing among the last changes that are kept"}
	}
	if err != nil {
		return nil, err
	}
	return c, provable(head, c, resource, revision)
}

// Read returns up to limit changes after a revision, and the head at the same moment.
func (db *DB) Read(ctx context.Context, after int64, limit int) (changes []*journalv1.Change, head *journalv1.Head, err error) {
	page, err := db.ReadPage(ctx, Filter{}, after, limit, math.MaxInt)
	return page.Changes, page.Head, err
}

func (db *DB) headAt(a Algorithm, revision int64, hash []byte, at *timestamppb.Timestamp) *journalv1.Head {
	return &journalv1.Head{Name: db.name(), Revision: revision, Hash: hash, CommitTime: at, HashAlgorithm: storedAs(a)}
}

// storedAs is how a head keeps the algorithm: see readHead.
func storedAs(a Algorithm) Algorithm {
	if a == SHA256 {
		return journalv1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED
	}
	return a
}
