package bolt

import (
	"fmt"
	"runtime/debug"

	"github.com/yizhen/yizhen/pkg/store"
)

// bbolt trusts its file. Where a page is not what it should be it panics, or reads beyond what is mapped, and by itself either would
// end the process without a word of which file it was. Here both become errors: a caller who comes upon a bad page is told,
// and those who do not are served on.

// faultsPanic has faults of memory on this goroutine panic, which can be caught, until what it returns is called.
func faultsPanic() func() {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}

// damaged says what bbolt has come upon in a file.
func damaged(path string, found any) error {
	return fmt.Errorf("%w: %s: %v: restore a backup", store.ErrCorrupt, path, found)
}

// caught is deferred where bbolt reads for a caller.
func (b *buckets) caught(err *error) {
	if found := recover(); found != nil {
		*err = damaged(b.tx.DB().Path(), found)
	}
}

// yielding gives entries to a caller, and knows whose panic it is: what the caller does is his own.
type yielding struct {
	to     func(store.Entry, error) bool
	caller bool
}

func (y *yielding) yield(key, value []byte) bool {
	y.caller = true
	more := y.to(store.Entry{Key: key, Value: value}, nil)
	y.caller = false
	return more
}

// caught is deferred where bbolt scans for a caller, to whom it gives the error last.
func (y *yielding) caught(in *buckets) {
	if y.caller {
		return
	}
	if found := recover(); found != nil {
		y.to(store.Entry{}, damaged(in.tx.DB().Path(), found))
	}
}
