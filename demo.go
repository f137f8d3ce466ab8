package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/yizhen/yizhen/deploy/jincheng"
	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/rpc"
)

// demoCommand tells one year of Jincheng's programme to a suite of its own.
type demoCommand struct {
	Store string `help:"Keep the records in this store, as bolt://FOLDER or etcd://HOST:PORT,…/PREFIX; a second run goes on where the first stood. Without it a folder is made and removed." placeholder:"URL"`
	Keep  bool   `help:"Go on serving afterwards, and print where."`
}

// Run tells the story. It fails if any figure does not foot.
func (c *demoCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) (err error) {
	location := c.Store
	if location == "" {
		folder, err := os.MkdirTemp("", "yizhen-demo-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		location = "bolt://" + filepath.ToSlash(folder)
	}
	tokens, credentials, err := admitOffices()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Yizhen (一镇): one year of Jincheng's specialised towns.\nRecords are kept in %s.\n", location)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	now := newStoryClock()
	running, ended := make(chan endpoints, 1), make(chan error, 1)
	go func() {
		ended <- runSuite(ctx, suiteOptions{
			store:       location,
			listen:      freePorts(),
			credentials: credentials,
			clock:       now,
			logger:      log,
			callTimeout: rpc.DefaultCallTimeout,
			stopTimeout: rpc.DefaultStopTimeout,
		}, func(at endpoints) { running <- at })
	}()
	select {
	case at := <-running:
		err = c.tell(ctx, at, tokens, now, w)
		stop()
		return errors.Join(err, <-ended)
	case err := <-ended:
		return err
	}
}

// tell tells the story to a running suite and, if it is to be kept, waits to be stopped.
func (c *demoCommand) tell(ctx context.Context, at endpoints, tokens map[string]string, now *storyClock, w io.Writer) error {
	begun := time.Now()
	err := jincheng.Tell(ctx, jincheng.Options{URL: at.URL, Tokens: tokens, Clock: now.standing, Output: w})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "The year took %.1f s.\n", time.Since(begun).Seconds())
	if !c.Keep {
		return nil
	}
	now.runOn()
	fmt.Fprintln(w, "\nThe suite goes on serving; stop it with Ctrl-C.")
	printEndpoints(w, at)
	fmt.Fprintln(w, "\nEach office has its own token:")
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		fmt.Fprintf(w, "  %-16s  %s\n", name, tokens[name])
	}
	fmt.Fprintf(w, "\nFor example, as the city's office:\n  curl -H 'Authorization: Bearer %s' %s/v1/towns\n", tokens[jincheng.CityOffice], at.URL)
	<-ctx.Done()
	return nil
}

// admitOffices makes a token for each office of the story, and the credentials that admit them.
func admitOffices() (tokens map[string]string, credentials *authn.Credentials, err error) {
	offices, err := jincheng.Offices()
	if err != nil {
		return nil, nil, err
	}
	tokens = map[string]string{}
	for i, office := range offices {
		tokens[office.Name] = newToken()
		offices[i].TokenSHA256 = authn.Digest(tokens[office.Name])
	}
	credentials, err = authn.NewCredentials(offices...)
	return tokens, credentials, err
}

// storyClock stands wherever the story has come to, so that two runs write the same journal to the last bit. Once the
// story is told it runs on.
type storyClock struct {
	standing *clock.Manual
	running  clock.Shifted
	runs     atomic.Bool
}

func newStoryClock() *storyClock {
	return &storyClock{standing: clock.NewManual(jincheng.Begins())}
}

// Now implements clock.Clock.
func (c *storyClock) Now() time.Time {
	if c.runs.Load() {
		return c.running.Now()
	}
	return c.standing.Now()
}

func (c *storyClock) runOn() {
	c.running.Set(c.standing.Now())
	c.runs.Store(true)
}

// freePorts has the suite listen on loopback, wherever there is room.
func freePorts() map[string]string {
	addresses := map[string]string{"gateway": "127.0.0.1:0"}
	for _, name := range serviceNames() {
		addresses[name] = "127.0.0.1:0"
	}
	return addresses
}
