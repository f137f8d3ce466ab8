package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/yizhen/yizhen/pkg/store"
)

func TestTranslate(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct{ of, want error }{
		{&fs.PathError{Op: "write", Path: "x.db", Err: syscall.ENOSPC}, store.ErrFull},
		{fmt.Errorf("commit: %w", syscall.EDQUOT), store.ErrFull},
		{berrors.ErrDatabaseNotOpen, store.ErrClosed},
		{other, other},
		{nil, nil},
	} {
		got := translate(c.of)
		if !errors.Is(got, c.want) {
			t.Errorf("translate(%v) = %v, want %v", c.of, got, c.want)
		}
		if errors.Is(c.want, store.ErrFull) && !errors.Is(got, c.of) {
			t.Errorf("translate(%v) = %v, which hides the cause", c.of, got)
		}
	}
}
