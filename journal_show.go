package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/yizhen/yizhen/pkg/civil"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

type journalShowCommand struct {
	journalSource `embed:""`
	After         int64    `help:"Begin after this revision. 0 begins with the first that is kept." placeholder:"N"`
	Limit         int      `help:"Show this many changes at most; 0 shows all." placeholder:"N" default:"100"`
	Type          []string `help:"Show only changes of resources of this type, such as Town (may be repeated)." placeholder:"TYPE"`
	Resource      string   `help:"Show only changes of resources whose names begin with this, such as towns/140525." placeholder:"NAME"`
	JSON          bool     `help:"Print the whole of each change as JSON, one a line." name:"json"`
}

// Run prints the changes as they come.
func (c *journalShowCommand) Run(ctx context.Context, w io.Writer) (err error) {
	if c.After < 0 || c.Limit < 0 {
		return errors.New("--after and --limit are not negative")
	}
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := c.known(ctx, r); err != nil {
		return err
	}
	after := c.After
	if after == 0 {
		head, err := r.head(ctx, &journalv1.GetHeadRequest{Name: r.name})
		if err != nil {
			return err
		}
		after = head.GetFirstRevision() - 1
	}
	printed := 0
	req := &journalv1.ListChangesRequest{Parent: r.name, AfterRevision: after, ResourceTypes: c.Type, ResourcePrefix: c.Resource, PageSize: journalPage}
	if c.Limit > 0 {
		req.PageSize = int32(min(c.Limit, journalPage))
	}
	for {
		res, err := r.changes(ctx, req)
		if err != nil {
			return err
		}
		for _, change := range res.GetChanges() {
			if c.Limit > 0 && printed == c.Limit {
				return nil
			}
			if err := c.print(w, change); err != nil {
				return err
			}
			printed++
		}
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if printed == 0 && c.Resource != "" {
		return fmt.Errorf("%s has no such change of a resource whose name begins with %q", r.name, c.Resource)
	}
	return nil
}

// known refuses a type that the service does not have and that no change is of, which is misspelt: it would match nothing.
func (c *journalShowCommand) known(ctx context.Context, r *journalReader) error {
	head, err := r.head(ctx, &journalv1.GetHeadRequest{Name: r.name})
	if err != nil {
		return err
	}
	for _, kind := range c.Type {
		if slices.ContainsFunc(services(), func(s service) bool { return s.name == r.service && s.schema().Keeps(kind) }) {
			continue
		}
		res, err := r.changes(ctx, &journalv1.ListChangesRequest{
			Parent: r.name, AfterRevision: head.GetFirstRevision() - 1, ResourceTypes: []string{kind}, PageSize: 1})
		if err != nil {
			return err
		}
		if len(res.GetChanges()) == 0 {
			return fmt.Errorf("%s has no resources of a type %s", r.name, kind)
		}
	}
	return nil
}

func (c *journalShowCommand) print(w io.Writer, change *journalv1.Change) error {
	if !c.JSON {
		_, err := fmt.Fprintln(w, changeLine(change))
		return err
	}
	raw, err := protojson.Marshal(change)
	if err != nil {
		return fmt.Errorf("%s: %w", change.GetName(), err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil { // protojson puts spaces in at random
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", line.Bytes())
	return err
}

// changeLine tells of a change what a reader looks for first. The time is the city's.
func changeLine(c *journalv1.Change) string {
	return fmt.Sprintf("%7d  %s  %-20s  %-28s  %-7s  %s", c.GetRevision(),
		c.GetCommitTime().AsTime().In(civil.Zone).Format(time.DateTime), c.GetActor(),
		c.GetMethod()[strings.LastIndexByte(c.GetMethod(), '/')+1:],
		strings.ToLower(strings.TrimPrefix(c.GetType().String(), "TYPE_")), c.GetResource())
}
