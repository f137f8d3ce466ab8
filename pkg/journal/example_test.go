package journal_test

import (
	"os"
	"path/filepath"
	"time"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

// exampleDB opens a database in a folder of its own, which done takes away.
func exampleDB() (db *journal.DB, done func()) {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	s, err := bolt.Open(filepath.Join(dir, "town.db"))
	if err != nil {
		panic(err)
	}
	db = journal.Open(s, "town", clock.NewManual(time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC)))
	return db, func() {
		db.Close()
		os.RemoveAll(dir)
	}
}
