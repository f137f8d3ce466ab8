package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
)

// boltFile is a store in a file. The process has it for itself.
type boltFile struct{ folder, service string }

func (b *boltFile) replicas() int { return 1 }

func (b *boltFile) location(int) string { return "bolt://" + b.folder }

// adopt leaves the store where it was filled.
func (b *boltFile) adopt(context.Context, string) error { return nil }

func (b *boltFile) copy(_ context.Context, to string) error {
	return copyFile(to, filepath.Join(b.folder, b.service+".db"))
}

// strike leaves the disk alone.
func (b *boltFile) strike(context.Context, *rand.Rand) (string, error) { return "", nil }

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

// cluster is three members of etcd, as processes.
type cluster struct{ *etcdtest.Cluster }

func startCluster(ctx context.Context, folder string) (*cluster, error) {
	binary, err := etcdtest.Binary()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	c, err := etcdtest.Launch(ctx, binary, etcdtest.Setup{Folder: folder, Members: 3})
	if err != nil && c != nil {
		c.Stop()
	}
	return &cluster{c}, err
}

// etcdPrefix is a store below a prefix of a cluster. Two processes share it, each of which speaks to a member of its own.
type etcdPrefix struct {
	cluster *cluster
	number  int
	service string
}

func (e *etcdPrefix) replicas() int { return 2 }

func (e *etcdPrefix) location(replica int) string {
	return e.cluster.URLFrom(replica, fmt.Sprintf("crash/%d", e.number))
}

func (e *etcdPrefix) open(ctx context.Context) (store.Store, error) {
	o, err := etcd.Parse(e.location(2), etcd.Files{})
	if err != nil {
		return nil, err
	}
	return etcd.Open(ctx, o.Below(e.service))
}

// chunk is how many keys etcd takes at once.
const chunk = 100

func (e *etcdPrefix) adopt(ctx context.Context, filled string) (err error) {
	from, err := bolt.Open(filled)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return copyStore(ctx, to, from, chunk)
}

func (e *etcdPrefix) copy(ctx context.Context, file string) (err error) {
	from, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := bolt.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return copyStore(ctx, to, from, 100*chunk)
}

// copyStore puts all that is in a store at one moment into another, so many keys at a time.
func copyStore(ctx context.Context, to, from store.Store, keys int) error {
	return from.View(ctx, func(r store.Reader) error {
		var some []store.Entry
		put := func() error {
			err := to.Update(ctx, func(tx store.Tx) error {
				for _, e := range some {
					if err := tx.Put(e.Key, e.Value); err != nil {
						return err
					}
				}
				return nil
			})
			some = nil
			return err
		}
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			some = append(some, store.Entry{Key: append([]byte{}, e.Key...), Value: append([]byte{}, e.Value...)})
			if len(some) == keys {
				if err := put(); err != nil {
					return err
				}
			}
		}
		return put()
	})
}

// strike does something to members every second time. One that was killed or stopped leaves a majority; two do not, and
// the service is without a store until they are back.
func (e *etcdPrefix) strike(ctx context.Context, random *rand.Rand) (string, error) {
	members := e.cluster.Members
	first := random.IntN(len(members))
	second := (first + 1) % len(members)
	span := time.Duration(300+random.IntN(900)) * time.Millisecond
	switch random.IntN(8) {
	case 0, 1:
		members[first].Kill()
		wait(ctx, span)
		return fmt.Sprintf("etcd %d for %v", first, span), e.back(ctx, first)
	case 2:
		members[first].Pause()
		wait(ctx, span)
		members[first].Resume()
		return fmt.Sprintf("etcd %d stopped for %v", first, span), nil
	case 3:
		members[first].Kill()
		members[second].Kill()
		wait(ctx, span)
		return fmt.Sprintf("etcd %d and %d for %v", first, second, span), e.back(ctx, first, second)
	}
	return "", nil
}

// back starts members that were killed, and waits until the cluster takes writes.
func (e *etcdPrefix) back(ctx context.Context, numbers ...int) error {
	for _, n := range numbers {
		if err := e.cluster.Members[n].Start(); err != nil {
			return err
		}
	}
	return e.cluster.Await(ctx)
}
