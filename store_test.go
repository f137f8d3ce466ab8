package main

import (
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// TestOlderStoresAreBroughtByTheirService: who only reads a store does not change it, and says what does.
func TestOlderStoresAreBroughtByTheirService(t *testing.T) {
	folder := t.TempDir()
	location := "bolt://" + folder
	write := func(fn func(tx *journal.Tx) error) {
		t.Helper()
		s, err := bolt.Open(filepath.Join(folder, "town.db"))
		if err != nil {
			t.Fatal(err)
		}
		db := journal.Open(s, "town", clock.System{})
		if err := db.Update(t.Context(), journal.Origin{Actor: "test"}, fn); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	towns := store.NewTable[*townv1.Division]()
	write(func(tx *journal.Tx) error { return towns.Create(tx, &townv1.Division{Name: "divisions/140525"}) })
	for _, args := range [][]string{
		{"journal", "verify", "town"}, {"journal", "show", "town"}, {"journal", "replay", "town"}, {"backup", "town", "--to", filepath.Join(folder, "to")},
	} {
		mustRefuse(t, "the store is older than this program: it is of version 1, this program's is 3: start the service once", append(args, "--store", location)...)
	}
	db, err := openJournal(t.Context(), location, "town", etcd.Files{}, clock.System{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	mustPrint(t, "whole from revision 1 to 3", "journal", "verify", "town", "--store", location)
	mustPrint(t, "what its 3 changes make", "journal", "replay", "town", "--store", location)

	stores := store.NewTable[*maintenancev1.Store]()
	write(func(tx *journal.Tx) error {
		return stores.Put(tx, &maintenancev1.Store{Name: "stores/town", Version: 99, Release: "v9.0.0"})
	})
	for _, args := range [][]string{{"town", "--listen", "127.0.0.1:0"}, {"journal", "verify", "town"}} {
		mustRefuse(t, "the store is newer than this program: it is of version 99, and this program knows versions up to 3: run release v9.0.0 or a later one",
			append(args, "--store", location)...)
	}
}

// TestEveryServiceHasTheStepsOfAll: the journal is kept in one form by all services.
func TestEveryServiceHasTheStepsOfAll(t *testing.T) {
	for _, svc := range services() {
		var names []string
		for _, step := range svc.migrations {
			if slices.Contains(names, step.Name) {
				t.Errorf("%s has two steps %s", svc.name, step.Name)
			}
			names = append(names, step.Name)
		}
		for _, want := range []string{"IndexChangesByType", "PutRevisionsInRows"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s has no step %s", svc.name, want)
			}
		}
	}
}
