package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Image is a store as a killed process left it, read into memory, each kind of key by itself.
type Image struct {
	Head    *journalv1.Head
	Changes []*journalv1.Change
	// Latest is the revision of the last change of each resource, which stands in its row.
	Latest map[string]int64
	// Rows are the tables: `Town/towns/140525-casting`.
	Rows map[string][]byte
	// Entries are the keys of the indexes: `Designation/batch/batches/2022-1` 0 `towns/…`.
	Entries map[string]bool
	// Receipts are the answers kept for repeated requests, by actor 0 request id.
	Receipts map[string][]byte
	// Problems are what the engine and the journal find wrong themselves.
	Problems []string
}

// ReadImage reads the store file of a service that does not run. It works on a copy: what the service opens next is what
// the kill left, not what a look at it made.
func ReadImage(ctx context.Context, file, service string) (*Image, error) {
	folder, err := os.MkdirTemp(filepath.Dir(file), "image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a copy that stays behind does no harm
	at := filepath.Join(folder, filepath.Base(file))
	if err := copyFile(at, file); err != nil {
		return nil, err
	}
	problems, err := checkPages(at)
	if err != nil {
		return nil, err
	}
	s, err := bolt.Open(at)
	if err != nil {
		return nil, err
	}
	db := journal.Open(s, service, clock.System{})
	defer db.Close() //nolint:errcheck // a copy
	img, err := imageOf(ctx, db)
	if err != nil {
		return nil, err
	}
	img.Problems = append(problems, img.Problems...)
	return img, nil
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
	img := &Image{Latest: map[string]int64{}, Rows: map[string][]byte{}, Entries: map[string]bool{}, Receipts: map[string][]byte{}}
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

// revisionBytes begin a row: the revision of its last change.
const revisionBytes = 8

// take sorts one key into the image. Keys that it does not know are none of its business.
func (img *Image) take(key string, value []byte) {
	switch table, rest, _ := strings.Cut(key, "/"); table {
	case "row":
		if len(value) < revisionBytes {
			img.Problems = append(img.Problems, fmt.Sprintf("row %s has %d bytes", rest, len(value)))
			return
		}
		_, name, _ := strings.Cut(rest, "/")
		img.Latest[name] = int64(binary.BigEndian.Uint64(value))
		img.Rows[rest] = value[revisionBytes:]
	case "index":
		img.Entries[rest] = true
	case "receipt":
		img.Receipts[rest] = value
	case "journal":
		if kind, rest, _ := strings.Cut(rest, "/"); kind == "change" {
			c := &journalv1.Change{}
			if err := proto.Unmarshal(value, c); err != nil {
				img.Problems = append(img.Problems, fmt.Sprintf("journal key %x: %v", rest, err))
				return
			}
			img.Changes = append(img.Changes, c)
		}
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
