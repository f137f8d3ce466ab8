package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Image is a store as a killed process left it, read into memory, each kind of key by itself.
type Image struct {
	Head    *journalv1.Head
	Changes []*journalv1.Change
	// Rows are the tables: `Town/towns/140525-casting`.
	Rows map[string][]byte
	// Receipts are the answers kept for repeated requests, by actor 0 request id.
	Receipts map[string][]byte
	// Problems are what the engine, the journal and the replay find wrong themselves.
	Problems []string
}

// ReadImage reads a copy of a service's store: the pages by bbolt, the journal by itself, the tables by replaying it, and
// then all of it for the checker.
func ReadImage(ctx context.Context, file string, schema *store.Schema) (img *Image, err error) {
	pages, err := checkPages(file)
	if err != nil {
		return nil, err
	}
	s, err := bolt.Open(file)
	if err != nil {
		return nil, err
	}
	db := journal.Open(s, schema.Service(), clock.System{})
	defer func() { err = errors.Join(err, db.Close()) }()
	if img, err = imageOf(ctx, db); err != nil {
		return nil, err
	}
	replayed, err := replayed(ctx, db, schema, file+".replayed")
	img.Problems = slices.Concat(pages, img.Problems, replayed)
	return img, err
}

// replayed says where the tables are not what the journal makes of them.
func replayed(ctx context.Context, db *journal.DB, schema *store.Schema, scratch string) (problems []string, err error) {
	s, err := bolt.Open(scratch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close(), os.Remove(scratch)) }()
	if _, different := replay.Check(ctx, db, schema, s, nil); different != nil {
		problems = append(problems, "replay: "+different.Error())
	}
	return problems, nil
}

// checkPages lets bbolt look for pages that are lost, doubled or out of order.
func checkPages(file string) (problems []string, err error) {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("the file that was left cannot be opened: %w", err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for problem := range tx.Check() {
			problems = append(problems, "bbolt: "+problem.Error())
		}
		return nil
	})
	return problems, errors.Join(err, db.Close())
}

// imageOf reads a store through its journal, and has the journal verify itself.
func imageOf(ctx context.Context, db *journal.DB) (*Image, error) {
	img := &Image{Rows: map[string][]byte{}, Receipts: map[string][]byte{}}
	var err error
	if img.Head, err = db.Head(ctx); err != nil {
		return nil, err
	}
	if _, err := db.Verify(ctx, 1, img.Head.GetRevision()); err != nil {
		img.Problems = append(img.Problems, "the journal does not verify: "+err.Error())
	}
	err = db.View(ctx, func(r store.Reader) error {
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			img.take(string(e.Key), append([]byte{}, e.Value...))
		}
		return nil
	})
	return img, err
}

// take sorts one key into the image. What the replay compares, such as the indexes, it leaves to that.
func (img *Image) take(key string, value []byte) {
	switch table, rest, _ := strings.Cut(key, "/"); table {
	case "row":
		_, img.Rows[rest] = store.SplitRow(value)
	case "receipt":
		img.Receipts[rest] = value
	case "journal":
		kind, rest, _ := strings.Cut(rest, "/")
		if kind != "change" {
			return
		}
		c := &journalv1.Change{}
		if err := proto.Unmarshal(value, c); err != nil {
			img.Problems = append(img.Problems, fmt.Sprintf("journal key %x: %v", rest, err))
			return
		}
		img.Changes = append(img.Changes, c)
	}
}
