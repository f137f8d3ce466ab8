package fund

import (
	"fmt"

	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Server serves the special fund.
type Server struct {
	// Unsafe, not Unimplemented: a method that the contract has and this package lacks does not compile.
	fundv1.UnsafeSpecialFundServer

	db     *journal.DB
	schema *store.Schema
	// project is the journal of the project service, which proves that milestones were accepted.
	project journalv1.JournalClient
	// town is the journal of the town registry, which proves the holiday calendars that public notices are counted by.
	town journalv1.JournalClient

	budgets       *store.Table[*fundv1.Budget]
	lines         *store.Table[*fundv1.Line]
	calls         *store.Table[*fundv1.Call]
	applications  *store.Table[*fundv1.Application]
	awards        *store.Table[*fundv1.Award]
	tranches      *store.Table[*fundv1.Tranche]
	disbursements *store.Table[*fundv1.Disbursement]
	recoveries    *store.Table[*fundv1.Recovery]
	accounts      *store.Table[*fundv1.Account]
	transfers     *store.Table[*fundv1.Transfer]
	statements    *store.Table[*fundv1.Statement]
}

var _ fundv1.SpecialFundServer = (*Server)(nil)

// New returns a server that keeps its rows in db and asks the journals of the project service and the town registry.
func New(db *journal.DB, project, town journalv1.JournalClient) *Server {
	schema := store.NewSchema("fund")
	return &Server{
		schema:        schema,
		db:            db,
		project:       project,
		town:          town,
		budgets:       store.Declare[*fundv1.Budget](schema),
		lines:         store.Declare[*fundv1.Line](schema),
		calls:         store.Declare[*fundv1.Call](schema),
		applications:  store.Declare(schema, applicationsByEvidence, applicationsByPurpose, applicationsGranted),
		awards:        store.Declare[*fundv1.Award](schema),
		tranches:      store.Declare[*fundv1.Tranche](schema),
		disbursements: store.Declare(schema, disbursementsBySendDate, disbursementsByReturnDate),
		recoveries:    store.Declare[*fundv1.Recovery](schema),
		accounts:      store.Declare[*fundv1.Account](schema),
		transfers:     store.Declare(schema, transfersByID, transfersByNumber, transfersByAccount, transfersByReversed),
		statements:    store.Declare[*fundv1.Statement](schema),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { fundv1.RegisterSpecialFundServer(r, s) }

// The indexes: how rows are found by something other than their names.
var (
	// Applications that stand, by each paper that they rest on.
	applicationsByEvidence = store.Index[*fundv1.Application]{
		Name: "evidence",
		Keys: func(a *fundv1.Application) []string {
			if !stands(a) {
				return nil
			}
			return a.GetEvidenceSha256S()
		},
	}
	// Applications that stand, by project and action.
	applicationsByPurpose = store.Index[*fundv1.Application]{
		Name: "purpose",
		Keys: func(a *fundv1.Application) []string {
			if !stands(a) {
				return nil
			}
			return []string{purpose(a)}
		},
	}
	// Applications approved or awarded, by call and enterprise.
	applicationsGranted = store.Index[*fundv1.Application]{
		Name: "granted",
		Keys: func(a *fundv1.Application) []string {
			switch a.GetState() {
			case fundv1.Application_STATE_APPROVED, fundv1.Application_STATE_AWARDED:
				return []string{recipient(a)}
			}
			return nil
		},
	}
	// Disbursements, by the day they were sent.
	disbursementsBySendDate = store.Index[*fundv1.Disbursement]{
		Name: "send_date",
		Keys: func(d *fundv1.Disbursement) []string {
			if d.GetSendDate() == nil {
				return nil
			}
			return []string{civil.Text(d.GetSendDate())}
		},
	}
	// Disbursements, by the day the bank returned them.
	disbursementsByReturnDate = store.Index[*fundv1.Disbursement]{
		Name: "return_date",
		Keys: func(d *fundv1.Disbursement) []string {
			if d.GetReturnDate() == nil {
				return nil
			}
			return []string{civil.Text(d.GetReturnDate())}
		},
	}
	// Transfers, by identifier.
	transfersByID = store.Index[*fundv1.Transfer]{
		Name: "id",
		Keys: func(t *fundv1.Transfer) []string { return []string{lastID(t.GetName())} },
	}
	// Transfers, in the order in which they were posted.
	transfersByNumber = store.Index[*fundv1.Transfer]{
		Name: "number",
		Keys: func(t *fundv1.Transfer) []string { return []string{padded(t.GetNumber())} },
	}
	// Transfers of each account, in the order in which they were posted.
	transfersByAccount = store.Index[*fundv1.Transfer]{
		Name: "account",
		Keys: func(t *fundv1.Transfer) (keys []string) {
			for _, leg := range t.GetLegs() {
				keys = append(keys, leg.GetAccount()+"/"+padded(t.GetNumber()))
			}
			return keys
		},
	}
	// Transfers that reverse another, by the identifier of that one.
	transfersByReversed = store.Index[*fundv1.Transfer]{
		Name: "reversed",
		Keys: func(t *fundv1.Transfer) []string {
			if t.GetReversedTransfer() == "" {
				return nil
			}
			return []string{t.GetReversedTransfer()}
		},
	}
)

// stands tells whether an application is neither rejected nor withdrawn.
func stands(a *fundv1.Application) bool {
	return a.GetState() != fundv1.Application_STATE_REJECTED && a.GetState() != fundv1.Application_STATE_WITHDRAWN
}

// purpose is what is not supported twice: a project, in one of the six actions.
func purpose(a *fundv1.Application) string {
	return fmt.Sprintf("%s#%d", a.GetProject(), a.GetAction())
}

// recipient is whom the cap per enterprise binds: an enterprise, in one call.
func recipient(a *fundv1.Application) string { return a.GetCall() + "#" + a.GetEnterpriseCode() }

// padded writes a number so that the order of texts is that of numbers.
func padded(n int64) string { return fmt.Sprintf("%019d", n) }

// Schema returns what the service keeps in its store.
func (s *Server) Schema() *store.Schema { return s.schema }
