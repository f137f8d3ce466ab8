package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// beside verifies what stands beside the changes. What the store has of resources whose changes are all archived is verified if the
// run began where the journal does.
func (v *verification) beside(ctx context.Context) error {
	if err := v.deletions(ctx); err != nil {
		return err
	}
	if err := v.each(ctx, checkpointPrefix, v.checkpoint); err != nil || !v.begins {
		return err
	}
	if err := v.db.View(ctx, strays); err != nil {
		return err
	}
	if err := v.each(ctx, keptPrefix, v.putAside); err != nil || v.first == 1 {
		return err
	}
	if err := v.each(ctx, deletedPrefix, v.gone); err != nil {
		return err
	}
	var kinds []string
	err := v.db.View(ctx, func(r store.Reader) (err error) {
		kinds, err = store.Kinds(r)
		return err
	})
	for _, kind := range kinds {
		if err == nil {
			err = v.each(ctx, string(store.RowKey(kind, "")), v.row)
		}
	}
	return err
}

// strays looks for keys of the journal that no part of it reads.
func strays(r store.Reader) error {
	from := []byte("journal/")
	for _, known := range []string{changePrefix, checkpointPrefix, deletedPrefix, headKey, keptPrefix, prunedKey, typePrefix, "journal0"} {
		for e, err := range r.Scan(from, []byte(known), store.Ascending) {
			if err != nil {
				return err
			}
			return &CorruptError{Problem: fmt.Sprintf("there is a key that belongs to nothing: %q", e.Key)}
		}
		if from = store.PrefixEnd([]byte(known)); known == headKey || known == prunedKey {
			from = append([]byte(known), 0)
		}
	}
	return nil
}

// each calls a function for every entry whose key begins with a prefix. The rest of the key is passed, and the last revision that
// was archived.
func (v *verification) each(ctx context.Context, prefix string, fn func(r store.Reader, pruned int64, rest string, value []byte) error) error {
	for from := []byte(prefix); from != nil; {
		var next []byte
		err := v.db.View(ctx, func(r store.Reader) error {
			next = nil
			point, err := readPruned(r)
			if err != nil {
				return err
			}
			seen := 0
			for e, err := range r.Scan(from, store.PrefixEnd([]byte(prefix)), store.Ascending) {
				if err != nil {
					return err
				}
				if seen++; seen > verifyChunk {
					next = bytes.Clone(e.Key)
					return nil
				}
				if err := fn(r, point.GetRevision(), string(e.Key[len(prefix):]), e.Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// deletions checks that a deletion is found under the type of what was deleted. The change itself does not tell it; the change of
// the resource before does, if it is not archived.
func (v *verification) deletions(ctx context.Context) error {
	wanted, was := map[string]bool{}, map[string]string{}
	for _, resource := range v.deleted {
		wanted[resource] = true
	}
	for after := int64(0); len(wanted) > 0 && after < v.last; {
		err := v.db.View(ctx, func(r store.Reader) error {
			kinds, err := kindsOf(r)
			if err != nil {
				return err
			}
			seen := 0
			for e, err := range merged(r, kinds, after) {
				if err != nil {
					return err
				}
				if seen++; seen > verifyChunk {
					return nil
				}
				after = e.revision
				if !wanted[e.resource] {
					continue
				}
				if kind, known := was[e.resource]; known && v.deleted[e.revision] != "" && kind != e.kind {
					return &CorruptError{Revision: e.revision, Problem: "is not found under the type of its resource"}
				}
				was[e.resource] = e.kind
			}
			after = v.last
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// written tells whether bytes are a message, which was read without what is not known of it, as this program writes it.
func written(m proto.Message, raw []byte) bool {
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return err == nil && bytes.Equal(again, raw)
}

// checkpoint verifies a checkpoint that the store has.
func (v *verification) checkpoint(r store.Reader, pruned int64, rest string, value []byte) error {
	c, err := decodeCheckpoint(value, revisionOf([]byte(rest)))
	if err != nil {
		return err
	}
	revision := revisionOf([]byte(rest))
	if at := c.GetRevision(); revision < 1 || at >= 1 && at < revision {
		revision = at // the key is not where it was
	}
	bad := func(problem string) error {
		return &CorruptError{Revision: revision, Problem: "has a checkpoint " + problem}
	}
	if c.GetRevision() != revisionOf([]byte(rest)) || c.GetName() != fmt.Sprintf("%s/checkpoints/%d", v.db.name(), revision) {
		return bad("under the number of another revision")
	}
	if revision > v.last || revision < v.first && !v.begins {
		return v.notAfterHead(r, revision)
	}
	if !written(c, value) {
		return bad("that is not written as it was")
	}
	if c.GetHashAlgorithm() != v.chain.algorithm {
		return bad("of another hash algorithm")
	}
	if err := v.matches(r, pruned, c); err != nil {
		return err
	}
	for _, key := range v.db.keys {
		if key.id == c.GetKeyId() {
			if CheckSignature(c, key) != nil {
				return bad("whose signature does not fit")
			}
			return nil
		}
	}
	if _, known := journalv1.SignatureAlgorithm_name[int32(c.GetSignatureAlgorithm())]; !known || !keyID.MatchString(c.GetKeyId()) {
		return bad("that no key signed")
	}
	return nil
}

// matches holds a checkpoint against the change, if it is here.
func (v *verification) matches(r store.Reader, pruned int64, c *journalv1.Checkpoint) error {
	point, err := readPruned(r)
	switch {
	case err != nil:
		return err
	case c.GetRevision() < pruned:
		return nil
	case c.GetRevision() == pruned:
		if !bytes.Equal(c.GetHash(), point.GetHash()) {
			return notSigned(c)
		}
		return nil
	}
	change, err := get(r, c.GetRevision())
	if err != nil {
		return err
	}
	if !bytes.Equal(c.GetHash(), change.GetHash()) || !proto.Equal(c.GetCommitTime(), change.GetCommitTime()) {
		return notSigned(c)
	}
	return nil
}

// notAfterHead looks at a checkpoint outside of what is verified.
func (v *verification) notAfterHead(r store.Reader, revision int64) error {
	head, err := v.db.readHead(r)
	if err == nil && revision > head.GetRevision() {
		err = cutOff(head.GetRevision(), revision)
	}
	return err
}

// putAside verifies a change that was put aside when it was archived: nobody but its own hash speaks for it here, so that and all
// that refers to it has to agree.
func (v *verification) putAside(r store.Reader, pruned int64, resource string, value []byte) error {
	c, err := decode(value, 0)
	if err != nil {
		return &CorruptError{Problem: fmt.Sprintf("what was put aside of %s: %v", resource, err)}
	}
	if !written(c, value) {
		return &CorruptError{Revision: c.GetRevision(), Problem: "is not put aside as it was"}
	}
	head, err := v.db.readHead(r)
	if err != nil {
		return err
	}
	revision := c.GetRevision()
	if err := provable(head, c, resource, revision); err != nil {
		return err
	}
	if c.GetName() != v.db.changeName(revision) || revision < 1 || revision > pruned {
		return &CorruptError{Revision: revision, Problem: "is put aside, and is none that was archived"}
	}
	kinds, err := kindsOf(r)
	if err != nil {
		return err
	}
	of := []string{kindIn(c)}
	if c.GetType() == journalv1.Change_TYPE_DELETED {
		of = kinds // of what may have been made again
	}
	at, err := latest(r, of, resource)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case at < revision, at > revision && at <= pruned:
		return &CorruptError{Revision: revision, Problem: "is not found as the last change of its resource"}
	case at > pruned:
		return isOf(r, kinds, at, c)
	}
	if v.aside.GetRevision() < revision {
		v.aside = c
	}
	return nil
}

// gone verifies which change deleted a resource, if that was archived. While there is a resource of that name again, nobody reads it.
func (v *verification) gone(r store.Reader, pruned int64, resource string, value []byte) error {
	at := revisionOf(value)
	if at > pruned {
		return nil // that of a deletion that is kept was compared with it
	}
	kinds, err := store.Kinds(r)
	if err != nil {
		return err
	}
	if now, err := latest(r, kinds, resource); err != nil || now != at {
		return err
	}
	return v.isAside(r, resource, at)
}

// row verifies which change a row has as its last, if that was archived.
func (v *verification) row(r store.Reader, pruned int64, name string, value []byte) error {
	at, _ := store.SplitRow(value)
	if at > pruned {
		return nil // as above
	}
	return v.isAside(r, name, at)
}

// isAside checks that the last change of a resource is there, if it was archived.
func (v *verification) isAside(r store.Reader, resource string, at int64) error {
	raw, err := r.Get([]byte(keptPrefix + resource))
	if errors.Is(err, store.ErrNotFound) {
		return &CorruptError{Revision: at, Problem: "is missing among the last changes that are kept"}
	}
	if err != nil {
		return err
	}
	c, err := decode(raw, at)
	if err == nil && c.GetRevision() != at {
		err = &CorruptError{Revision: c.GetRevision(), Problem: "is not found as the last change of its resource"}
	}
	return err
}
