package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// losesPatience is how often a replica loses in a row before it asks for its turn.
	losesPatience = 3
	// turnWait is how long the others wait for a replica that has asked.
	turnWait = 200 * time.Millisecond
)

// watch hears of commits of other replicas, and of those that ask for their turn. Nothing depends on it but how soon they
// are heard of: it may miss events, and begins anew at the present when it does, so that no compaction can stop it.
func (s *Store) watch() {
	for s.ctx.Err() == nil {
		s.listen()
		if !wait(s.ctx, firstPause*4) {
			return
		}
	}
}

// listen watches through the current member until that is left or the watch breaks.
func (s *Store) listen() {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(s.ctx))
	defer cancel()
	left := s.cluster.leaving()
	// From "guard" to "turn" there is nothing else but the identity, which does not change.
	events := s.cluster.client.Watch(ctx, s.keys.guard, clientv3.WithRange(s.keys.turn+"\x00"), clientv3.WithCreatedNotify())
	for {
		select {
		case <-left:
			return
		case res, ok := <-events:
			if !ok || res.Err() != nil {
				return
			}
			if res.Created {
				s.distrust()
				s.announce() // what was committed before the watch began may have been missed
			}
			for _, e := range res.Events {
				s.hear(string(e.Kv.Key), e.Kv.Value)
			}
		}
	}
}

func (s *Store) hear(key string, id []byte) {
	switch {
	case s.own(id):
	case key == s.keys.guard:
		s.distrust()
		s.turn.taken()
		s.announce()
	case key == s.keys.turn:
		s.turn.asked()
	}
}

func (s *Store) announce() {
	s.mu.Lock()
	heard := s.heard
	s.mu.Unlock()
	for _, fn := range heard {
		fn()
	}
}

// ask asks the other replicas to let this one commit first. Who has just committed knows how things stand and is always
// faster than who has lost and has to read again, so without this it could go on for ever. If it is not heard, nothing is
// lost but time.
func (s *Store) ask() {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	_, _ = s.cluster.client.Put(ctx, s.keys.turn, string(s.replica[:]))
}

// turn makes the committer wait when another replica has asked for its turn, until that one has committed.
type turn struct {
	mu     sync.Mutex
	asks   bool
	commit chan struct{}
}

func (t *turn) reset() { t.commit = make(chan struct{}) }

func (t *turn) asked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asks = true
}

func (t *turn) taken() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asks = false
	close(t.commit)
	t.reset()
}

// give waits, if somebody asks.
func (t *turn) give(ctx context.Context) {
	t.mu.Lock()
	asks, commit := t.asks, t.commit
	t.asks = false
	t.mu.Unlock()
	if !asks {
		return
	}
	limit := time.NewTimer(turnWait)
	defer limit.Stop()
	select {
	case <-commit:
	case <-limit.C:
	case <-ctx.Done():
	}
}
