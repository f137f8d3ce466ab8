package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/uscc"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town"
)

// The one town that the enterprises belong to, and who enters them.
const (
	townID     = "140525-casting"
	parentName = "towns/" + townID
	callerName = "bench/county"
)

// Rows that are there before a measurement have the even numbers of a wide space, those that it creates the odd ones, in
// an order that jumps about: a new row falls anywhere among the others.
const (
	spaceBits = 29
	spread    = 0x5bd1e995 // any odd factor permutes the numbers
)

func resident(i, of int) uint64 { return uint64(i) * (1 << spaceBits / uint64(of)) &^ 1 }

func fresh(n uint64) uint64 { return n*spread%(1<<(spaceBits-1))<<1 | 1 }

// digits are those of unified social credit codes.
const digits = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// code returns the credit code of a number below 2^29. Codes have the order of their numbers.
func code(n uint64) string {
	first := []byte("91140525MA000000")
	for i := len(first) - 1; n > 0; i-- {
		first[i] = digits[n%uint64(len(digits))]
		n /= uint64(len(digits))
	}
	whole, err := uscc.Complete(string(first))
	if err != nil {
		panic(err) // the digits are the code's own
	}
	return whole
}

func rowName(n uint64) string { return parentName + "/enterprises/" + code(n) }

// enterprise is what an office enters.
func enterprise() *townv1.Enterprise {
	return &townv1.Enterprise{
		Title:      "泽州县金村镇精密铸造有限责任公司",
		Role:       townv1.Enterprise_ROLE_MEMBER,
		AboveScale: true,
		Honours:    []townv1.Enterprise_Honour{townv1.Enterprise_HONOUR_HIGH_TECH, townv1.Enterprise_HONOUR_SPECIALISED_AND_NEW},
		JoinDate:   &date.Date{Year: 2021, Month: 7, Day: 1},
	}
}

// answered is an enterprise as the service answers it: the payload of the echo.
func answered() *townv1.Enterprise {
	e := enterprise()
	e.Name = rowName(fresh(1))
	e.Etag = strings.Repeat("0", 16)
	e.CreateTime = timestamppb.Now()
	e.UpdateTime = e.GetCreateTime()
	return e
}

func createRequest(n uint64) *townv1.CreateEnterpriseRequest {
	return &townv1.CreateEnterpriseRequest{
		Parent: parentName, EnterpriseId: code(n), Enterprise: enterprise(), RequestId: uuid.NewString(),
	}
}

// fillers is how many fill a store at once: as many as a commit takes, so that each sync is shared by all of them.
const fillers = 512

// fill makes a store of so many enterprises. They go through the handlers of the service in this process, and so have
// receipts and a journal like any other; many at once, so that they share commits.
func fill(ctx context.Context, path string, rows int) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", path)
	}
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	db := journal.Open(s, "town", clock.System{})
	err = errors.Join(fillDB(ctx, db, rows), db.Close())
	if err != nil {
		return fmt.Errorf("fill %s: %w", filepath.Base(path), err)
	}
	return nil
}

func fillDB(ctx context.Context, db *journal.DB, rows int) error {
	ctx = authn.NewContext(ctx, &authn.Principal{Name: callerName})
	server := town.New(db)
	if _, err := server.CreateDivision(ctx, &townv1.CreateDivisionRequest{DivisionId: townID[:6], Division: &townv1.Division{
		TitleZh: "泽州县", TitleEn: "Zezhou",
	}}); err != nil {
		return err
	}
	if _, err := server.CreateTown(ctx, &townv1.CreateTownRequest{TownId: townID, Town: &townv1.Town{
		Division: townID[:6], IndustryCodes: []string{"3391"}, Field: townv1.Field_FIELD_MANUFACTURING,
		TitleZh: "泽州县精密铸造专业镇", TitleEn: "Zezhou precision casting",
	}}); err != nil {
		return err
	}
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, fillers)
	for range fillers {
		group.Go(func() {
			for i := int(next.Add(1) - 1); i < rows; i = int(next.Add(1) - 1) {
				if _, err := server.CreateEnterprise(ctx, createRequest(resident(i, rows))); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
