package journal

import (
	"context"
	"sync"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Bounds of what a feed remembers. A watcher that is further behind reads the store.
const (
	maxRemembered = 4096
	maxWaiting    = 1024 // entries that came before the ones that they follow
)

// entry is a change as watchers get it.
type entry struct {
	change *journalv1.Change
	kind   string
	res    *journalv1.WatchChangesResponse
}

// feed passes committed changes to those who watch. Commits hand over the changes that they made, so nothing is read or decoded
// again, however many watch. It remembers the newest in order; each watcher takes from there what it wants, and is woken only
// when there is something for it.
type feed struct {
	mu       sync.Mutex
	recent   []entry         // revisions in a row; the last is at last
	last     int64           // the newest revision that watchers may have
	ahead    map[int64]entry // came before the ones that they follow: commits that end together tell of it in any order
	watchers map[*watcher]struct{}
	stale    bool // something was committed that the feed was not told
}

// watcher is one who watches.
type watcher struct {
	feed   *feed
	filter Filter
	after  int64 // all that it wants up to here was taken
	wake   chan struct{}
}

// join adds a watcher that has what it wants up to a revision.
func (db *DB) join(ctx context.Context, f Filter, after int64) (*watcher, error) {
	db.mu.Lock()
	if db.feed == nil {
		db.feed = &feed{ahead: map[int64]entry{}, watchers: map[*watcher]struct{}{}}
	}
	fd := db.feed
	w := &watcher{feed: fd, filter: f, after: after, wake: make(chan struct{}, 1)}
	fd.mu.Lock()
	fd.watchers[w] = struct{}{}
	fd.mu.Unlock()
	db.mu.Unlock()
	// Commits tell the feed of what they do from here on; what came before is read.
	if err := db.refresh(ctx, fd); err != nil {
		db.leave(w)
		return nil, err
	}
	return w, nil
}

// leave takes a watcher away, and the feed with the last one.
func (db *DB) leave(w *watcher) {
	db.mu.Lock()
	defer db.mu.Unlock()
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	delete(w.feed.watchers, w)
	if len(w.feed.watchers) == 0 && db.feed == w.feed {
		db.feed = nil
	}
}

// refresh lets the feed know of what was committed without its being told, by another replica or before there was a feed.
func (db *DB) refresh(ctx context.Context, fd *feed) error {
	var revision int64
	err := db.View(ctx, func(r store.Reader) error {
		head, err := db.readHead(r)
		revision = head.GetRevision()
		return err
	})
	if err != nil {
		return err
	}
	fd.mu.Lock()
	defer fd.mu.Unlock()
	if revision > fd.last {
		// What is in between is in the store. Watchers find out there what of it is for them.
		fd.recent, fd.last = nil, revision
		fd.drain()
		for w := range fd.watchers {
			w.rouse()
		}
	}
	return nil
}

// offer takes the changes of a commit. Without any it has all watchers look in the store.
func (fd *feed) offer(wrote []entry) {
	fd.mu.Lock()
	defer fd.mu.Unlock()
	if len(wrote) == 0 || len(fd.ahead)+len(wrote) > maxWaiting+maxRemembered {
		clear(fd.ahead)
		fd.stale = true
		for w := range fd.watchers {
			w.rouse()
		}
		return
	}
	for _, e := range wrote {
		if e.change.GetRevision() > fd.last {
			fd.ahead[e.change.GetRevision()] = e
		}
	}
	fd.drain()
}

// drain moves the changes that follow on what is known over to what is remembered, and wakes those whom they are for.
func (fd *feed) drain() {
	before := len(fd.recent)
	for {
		e, ok := fd.ahead[fd.last+1]
		if !ok {
			break
		}
		fd.last++
		delete(fd.ahead, fd.last)
		fd.recent = append(fd.recent, e)
	}
	fresh := fd.recent[before:]
	for i := range fresh {
		fresh[i].res = &journalv1.WatchChangesResponse{Change: fresh[i].change, HeadRevision: fd.last}
	}
	if len(fresh) > 0 {
		for w := range fd.watchers {
			w.hear(fresh)
		}
	}
	if over := len(fd.recent) - maxRemembered; over > maxRemembered/4 {
		fd.recent = append([]entry(nil), fd.recent[over:]...)
	}
	for revision := range fd.ahead {
		if revision <= fd.last {
			delete(fd.ahead, revision)
		}
	}
}

// hear wakes the watcher if one of the entries is for it. One that has everything before and wants none of them has them too.
func (w *watcher) hear(fresh []entry) {
	for _, e := range fresh {
		if w.filter.wants(e.kind, e.change.GetResource()) {
			w.rouse()
			return
		}
	}
	if w.after == fresh[0].change.GetRevision()-1 {
		w.after = fresh[len(fresh)-1].change.GetRevision()
	}
}

func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it has been woken and has not looked yet
	}
}

// take returns what the watcher has not had yet, up to a limit, and the revision up to which it then has everything. If that is
// not remembered any more, ok is false: it is in the store.
func (w *watcher) take(limit int) (wanted []*journalv1.WatchChangesResponse, through int64, ok bool) {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	first := w.feed.last - int64(len(w.feed.recent)) + 1
	if w.after >= w.feed.last {
		return nil, w.after, true
	}
	if w.after+1 < first {
		return nil, w.after, false
	}
	for _, e := range w.feed.recent[w.after+1-first:] {
		if len(wanted) == limit {
			break
		}
		w.after = e.change.GetRevision()
		if w.filter.wants(e.kind, e.change.GetResource()) {
			wanted = append(wanted, e.res)
		}
	}
	return wanted, w.after, true
}

// has says that the watcher has everything up to a revision.
func (w *watcher) has(revision int64) {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	w.after = max(w.after, revision)
}

// position returns up to where the watcher has everything.
func (w *watcher) position() int64 {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	return w.after
}

// look says whether the feed has to be refreshed, to one of those who ask.
func (fd *feed) look() bool {
	fd.mu.Lock()
	defer fd.mu.Unlock()
	was := fd.stale
	fd.stale = false
	return was
}
