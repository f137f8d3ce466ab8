package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// typePrefix begins the index of changes by the type of their resource: the name of the type, a zero byte and the revision in
// 8 bytes. The value is the name of the resource, so that a reader of a few resources passes over the others without reading
// their changes.
const typePrefix = "journal/type/"

// maxPassedOver bounds how many index entries are read for one answer.
const maxPassedOver = 10_000

// Filter says which changes a reader wants. The zero value is all of them.
type Filter struct {
	// Types are the names of messages, such as Town; none means all.
	Types []string
	// Prefix begins the names of the resources.
	Prefix string
}

func (f Filter) all() bool { return len(f.Types) == 0 && f.Prefix == "" }

func (f Filter) wants(kind, resource string) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, kind)) && strings.HasPrefix(resource, f.Prefix)
}

func typeKey(kind string, revision int64) []byte {
	return append([]byte(typePrefix+kind+"\x00"), revisionBytes(revision)...)
}

// Page is what a reader gets at once.
type Page struct {
	Changes []*journalv1.Change
	// Through is the revision up to which all that was asked for is here.
	Through int64
	// Head is the head at the same moment.
	Head *journalv1.Head
}

// ReadPage reads up to limit changes after a revision, and ends early with the one that brings them to a number of bytes. A
// revision before the first that is kept gives a PrunedError.
func (db *DB) ReadPage(ctx context.Context, f Filter, after int64, limit, maxBytes int) (p Page, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		p = Page{Through: after}
		if p.Head, err = db.readHead(r); err != nil {
			return err
		}
		first, err := readPruned(r)
		if err != nil {
			return err
		}
		if after < first.GetRevision() {
			return &PrunedError{First: first.GetRevision() + 1}
		}
		if f.all() {
			return p.fill(r, limit, maxBytes)
		}
		return p.fillWanted(r, f, limit, maxBytes)
	})
	return p, err
}

// fill reads every change.
func (p *Page) fill(r store.Reader, limit, maxBytes int) error {
	size := 0
	for e, err := range r.Scan(changeKey(p.Through+1), store.PrefixEnd([]byte(changePrefix)), store.Ascending) {
		if err != nil {
			return err
		}
		if len(p.Changes) == limit || size >= maxBytes {
			return nil
		}
		c, err := decode(e.Value, revisionOf(e.Key[len(changePrefix):]))
		if err != nil {
			return err
		}
		p.Changes = append(p.Changes, c)
		p.Through = c.GetRevision()
		size += len(e.Value)
	}
	return nil
}

// fillWanted reads the changes that a filter wants, by way of the index.
func (p *Page) fillWanted(r store.Reader, f Filter, limit, maxBytes int) error {
	kinds := f.Types
	if len(kinds) == 0 {
		var err error
		if kinds, err = kindsOf(r); err != nil {
			return err
		}
	}
	size, passed := 0, 0
	for e, err := range merged(r, kinds, p.Through) {
		switch {
		case err != nil:
			return err
		case len(p.Changes) == limit, size >= maxBytes, passed == maxPassedOver:
			return nil
		case !strings.HasPrefix(e.resource, f.Prefix):
			passed++
		default:
			c, err := get(r, e.revision)
			if err != nil {
				return err
			}
			p.Changes = append(p.Changes, c)
			size += len(c.GetAfter().GetValue())
		}
		p.Through = e.revision
	}
	p.Through = max(p.Through, p.Head.GetRevision())
	return nil
}

// kindsOf returns the types of which there are changes, by jumping from one to the next.
func kindsOf(r store.Reader) (kinds []string, err error) {
	from, end := []byte(typePrefix), store.PrefixEnd([]byte(typePrefix))
	for {
		found := false
		for e, err := range r.Scan(from, end, store.Ascending) {
			if err != nil {
				return nil, err
			}
			kind, _, _ := bytes.Cut(e.Key[len(typePrefix):], []byte{0})
			kinds = append(kinds, string(kind))
			from, found = []byte(typePrefix+string(kind)+"\x01"), true
			break
		}
		if !found {
			return kinds, nil
		}
	}
}

type indexed struct {
	kind     string
	revision int64
	resource string
}

// merged yields the index entries of several types after a revision, in the order of revisions.
func merged(r store.Reader, kinds []string, after int64) iter.Seq2[indexed, error] {
	return func(yield func(indexed, error) bool) {
		type source struct {
			next func() (store.Entry, error, bool)
			kind string
			head indexed
		}
		var sources []*source
		var failed error
		advance := func(s *source) bool {
			e, err, ok := s.next()
			if err != nil {
				failed = err
			}
			if !ok || err != nil {
				return false
			}
			s.head = indexed{s.kind, revisionOf(e.Key[len(e.Key)-8:]), string(e.Value)}
			return true
		}
		for _, kind := range kinds {
			prefix := []byte(typePrefix + kind + "\x00")
			next, stop := iter.Pull2(r.Scan(typeKey(kind, after+1), store.PrefixEnd(prefix), store.Ascending))
			defer stop()
			if s := (&source{next: next, kind: kind}); advance(s) {
				sources = append(sources, s)
			}
		}
		for len(sources) > 0 && failed == nil {
			least := 0
			for i, s := range sources {
				if s.head.revision < sources[least].head.revision {
					least = i
				}
			}
			if !yield(sources[least].head, nil) {
				return
			}
			if !advance(sources[least]) {
				sources = slices.Delete(sources, least, least+1)
			}
		}
		if failed != nil {
			yield(indexed{}, failed)
		}
	}
}

// kindOf returns the type of a change's resource. Of a deleted one only the index knows it.
func kindOf(r store.Reader, c *journalv1.Change) (string, error) {
	kinds := []string{kindIn(c)}
	if c.GetType() == journalv1.Change_TYPE_DELETED {
		var err error
		if kinds, err = kindsOf(r); err != nil {
			return "", err
		}
	}
	for _, kind := range kinds {
		resource, err := r.Get(typeKey(kind, c.GetRevision()))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		if err == nil && string(resource) == c.GetResource() {
			return kind, nil
		}
	}
	return "", &CorruptError{Revision: c.GetRevision(), Problem: "is not found under the type of its resource"}
}

// kindIn returns the type that a change tells of its resource.
func kindIn(c *journalv1.Change) string {
	url := c.GetAfter().GetTypeUrl()
	return url[strings.LastIndexByte(url, '.')+1:]
}

// PrunedError says that a revision is before the first that is kept.
type PrunedError struct{ First int64 }

func (e *PrunedError) Error() string {
	return fmt.Sprintf("the journal is kept from revision %d on; what was before is in archive files", e.First)
}
