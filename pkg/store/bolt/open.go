package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/yizhen/yizhen/pkg/store"
)

// Open opens the file, and creates it if it is not there. Only one process can have it open. A file that is no whole store is
// refused, and nothing of it is changed.
func Open(path string) (*Store, error) {
	db, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, explain(err))
	}
	return &Store{db: db, commits: newCommitter(db)}, nil
}

func open(path string) (*bbolt.DB, error) {
	err := inspect(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(path); err == nil {
			err = inspect(path)
		}
	}
	if err != nil {
		return nil, err
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	removeLeftovers(path)
	return db, nil
}

// explain says of errors of the system, and of bbolt's, what can be done.
func explain(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return errors.New("another process has it open")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the user that this program runs as has to own the file and its folder (chown), and to be let read and write them (chmod)", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: a store is on a file system that can be written", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the folder has to be there", err)
	}
	return translate(err)
}

// openFile opens a file that is there. Here as well bbolt panics at pages that are not what they should be.
func openFile(path string) (db *bbolt.DB, err error) {
	defer faultsPanic()()
	defer func() {
		if found := recover(); found != nil {
			db, err = nil, damaged(path, found)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
	})
	if err != nil {
		return nil, err
	}
	if err := arrange(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// create makes a new store beside its place and gives it its name when it is whole: a process that dies meanwhile leaves no half of
// one. If another process is first, its file is the one that stays.
func create(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), leftover(path))
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has its name by then, or is of no use
	if err := f.Close(); err != nil {
		return err
	}
	db, err := openFile(f.Name())
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		if _, there := os.Lstat(path); there == nil {
			return nil
		}
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// leftover is the pattern of the names that stores have while they are made.
func leftover(path string) string { return "." + filepath.Base(path) + ".new-*" }

// removeLeftovers removes what processes have left that died while they made a store. Since there is one by now, nothing will
// become of them. That one cannot be removed does no harm.
func removeLeftovers(path string) {
	found, err := filepath.Glob(filepath.Join(filepath.Dir(path), leftover(path)))
	if err != nil {
		return
	}
	for _, f := range found {
		_ = os.Remove(f)
	}
}

// Of bbolt's file: each page begins with a header, and the first two pages hold the heads, which are written in turns. Numbers
// are in the order of the machine.
const (
	pageHeaderBytes = 16
	headBytes       = 64
	checkedBytes    = 56 // of a head, those before its checksum

	formatMagic   = 0xED0CDAED
	formatVersion = 2

	minPageBytes = 1 << 10
	maxPageBytes = 1 << 24
)

// head is what a head says of its file.
type head struct {
	version     uint32
	whole       bool   // it has its checksum
	pageBytes   uint32 // of each page
	pages       uint64 // that there are; a file never has less, nor a valid head of less than two
	transaction uint64
}

// readHead reads a head at a place in a file. found tells whether there is any.
func readHead(f io.ReaderAt, at int64) (h head, found bool) {
	b := make([]byte, headBytes)
	if _, err := f.ReadAt(b, at+pageHeaderBytes); err != nil || binary.NativeEndian.Uint32(b) != formatMagic {
		return head{}, false
	}
	sum := fnv.New64a()
	sum.Write(b[:checkedBytes])
	return head{
		version:     binary.NativeEndian.Uint32(b[4:]),
		whole:       sum.Sum64() == binary.NativeEndian.Uint64(b[checkedBytes:]),
		pageBytes:   binary.NativeEndian.Uint32(b[8:]),
		pages:       binary.NativeEndian.Uint64(b[40:]),
		transaction: binary.NativeEndian.Uint64(b[48:]),
	}, true
}

// inspect looks at a file before bbolt does, which would take an empty one for a new store, and reads beyond the end of one that was
// cut off.
func inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder, and a store is a file in one")
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case info.Size() == 0:
		return fmt.Errorf("%w: the file is empty, which a store never is: restore a backup, or remove the file to begin anew", store.ErrCorrupt)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	newest, found := head{}, head{}
	any := false
	for _, at := range headPlaces(f) {
		h, is := readHead(f, at)
		if !is {
			continue
		}
		found, any = h, true
		if h.whole && h.version == formatVersion && h.transaction >= newest.transaction {
			newest = h
		}
	}
	switch {
	case !any:
		return errors.New("it is no store: it was written by something else, or its beginning was written over")
	case newest.pages == 0 && found.version != formatVersion:
		return fmt.Errorf("it is in version %d of bbolt's format, and this program reads version %d", found.version, formatVersion)
	case newest.pages == 0:
		return fmt.Errorf("%w: both of its heads are: restore a backup", store.ErrCorrupt)
	case uint64(info.Size()) < newest.pages*uint64(newest.pageBytes):
		return fmt.Errorf("%w: the file is cut off, it has %d bytes and says that it has at least %d: restore a backup",
			store.ErrCorrupt, info.Size(), newest.pages*uint64(newest.pageBytes))
	}
	return nil
}

// headPlaces returns where heads may be: the second is a page after the first, and if that is damaged nobody knows how large a page
// is.
func headPlaces(f io.ReaderAt) []int64 {
	if h, found := readHead(f, 0); found && h.whole {
		return []int64{0, int64(h.pageBytes)}
	}
	places := []int64{0}
	for size := int64(minPageBytes); size <= maxPageBytes; size *= 2 {
		places = append(places, size)
	}
	return places
}
