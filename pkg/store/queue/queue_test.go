package queue

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/store"
)

// fails returns an update function that fails with an error.
func fails(err error) func(store.Tx) error { return func(store.Tx) error { return err } }

// hand calls Do on a goroutine and waits until the update is in the queue. The channel gets what Do returns, or the value
// that it panics with.
func hand(ctx context.Context, t *testing.T, q *Queue, fn func(store.Tx) error) <-chan any {
	t.Helper()
	before := q.Len()
	answer := make(chan any, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- p
			}
		}()
		answer <- q.Do(ctx, fn)
	}()
	for q.Len() == before {
		runtime.Gosched()
	}
	return answer
}

func TestFirstComeFirstServed(t *testing.T) {
	q := New(0)
	var answers []<-chan any
	for i := range 5 {
		answers = append(answers, hand(t.Context(), t, q, fails(errors.New(string(rune('a'+i))))))
	}
	for i := range 5 {
		u := q.Next()
		err, ok := u.Run(nil)
		if ok || err.Error() != string(rune('a'+i)) {
			t.Errorf("update %d is %v", i, err)
		}
		u.Finish(err)
		if got, _ := (<-answers[i]).(error); !errors.Is(got, err) {
			t.Errorf("caller %d hears %v", i, got)
		}
	}
	if u := q.Poll(); u != nil {
		t.Errorf("an empty queue gives %v", u)
	}
}

func TestABoundOnWhatWaits(t *testing.T) {
	q := New(0)
	for range maxWaiting {
		q.waiting <- &Update{}
	}
	if err := q.Do(t.Context(), fails(nil)); !errors.Is(err, store.ErrBusy) {
		t.Errorf("one more is answered with %v", err)
	}
}

func TestACallerThatGivesUpWhileItWaits(t *testing.T) {
	q := New(0)
	ctx, giveUp := context.WithCancel(t.Context())
	answer := hand(ctx, t, q, func(store.Tx) error { t.Error("it was run"); return nil })
	giveUp()
	if got := <-answer; !errors.Is(got.(error), context.Canceled) {
		t.Errorf("it hears %v", got)
	}
	if u := q.Poll(); u != nil {
		t.Error("its update is taken out")
	}
	if err := q.Do(ctx, fails(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended is answered with %v", err)
	}
}

func TestACallerWhoseUpdateHasBegunHearsWhatCameOfIt(t *testing.T) {
	q := New(0)
	ctx, giveUp := context.WithCancel(t.Context())
	answer := hand(ctx, t, q, fails(nil))
	u := q.Next()
	giveUp()
	u.Finish(nil)
	if got := <-answer; got != nil {
		t.Errorf("it was committed, and its caller hears %v", got)
	}
}

func TestPatienceEnds(t *testing.T) {
	q := New(time.Millisecond)
	ctx, giveUp := context.WithCancel(t.Context())
	answer := hand(ctx, t, q, fails(nil))
	u := q.Next()
	giveUp()
	got, _ := (<-answer).(error)
	if !errors.Is(got, store.ErrOutcomeUnknown) || !errors.Is(got, context.Canceled) {
		t.Errorf("the caller hears %v", got)
	}
	u.Finish(nil) // nobody listens any more, and nobody is held up
}

func TestAPanicIsRaisedWhereTheCallerWaits(t *testing.T) {
	q := New(0)
	answer := hand(t.Context(), t, q, func(store.Tx) error { panic("boom") })
	u := q.Next()
	if err, ok := u.Run(nil); ok || err != nil {
		t.Errorf("a panic is %v, %v", err, ok)
	}
	u.Finish(nil)
	if got := <-answer; got != "boom" {
		t.Errorf("the caller hears %v", got)
	}
}

func TestAnUpdateMustNotEndTheGoroutine(t *testing.T) {
	u := &Update{ctx: t.Context(), fn: func(store.Tx) error { runtime.Goexit(); return nil }}
	raised := make(chan any, 1)
	go func() {
		defer func() { raised <- recover() }()
		u.Run(nil)
	}()
	if <-raised == nil {
		t.Error("nobody would know")
	}
}

func TestClose(t *testing.T) {
	q := New(0)
	answer := hand(t.Context(), t, q, fails(nil))
	q.Close()
	q.Close()
	if err := q.Do(t.Context(), fails(nil)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close an update is answered with %v", err)
	}
	q.Next().Finish(nil)
	if got := <-answer; got != nil {
		t.Errorf("an update that waited hears %v", got)
	}
	if u := q.Next(); u != nil {
		t.Error("a closed queue is not empty")
	}
}
