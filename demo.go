package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
)

// demoCommand tells one year of Jincheng's programme to a suite of its own.
type demoCommand struct {
	Data string `help:"Keep the stores in this folder; a second run goes on where the first stood. Without it a folder is made and removed." placeholder:"FOLDER"`
	Keep bool   `help:"Go on serving afterwards, and print where."`
}

// Run tells the story. It fails if any figure does not foot.
func (c *demoCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) (err error) {
	folder := c.Data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "yizhen-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return err
	}
	tokens, credentials, err := demoOffices()
	if err != nil {
		return err
	}
	begun := time.Now()
	fmt.Fprintf(w, "Yizhen (一镇): one year of Jincheng's specialised towns.\nRecords are kept in %s.\n", folder)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	now := newStoryClock()
	running := make(chan endpoints, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- runSuite(ctx, suiteOptions{
			store:       "bolt://" + filepath.ToSlash(folder),
			listen:      freePorts(),
			credentials: credentials,
			clock:       now,
			logger:      log,
			callTimeout: answerTimeout,
			stopTimeout: answerTimeout,
		}, func(at endpoints) { running <- at })
	}()
	var at endpoints
	select {
	case at = <-running:
	case err := <-ended:
		return err
	}

	s := &story{rest: newRESTClient(at.URL, tokens), clock: now.standing, w: w}
	told := s.tell(ctx)
	if told == nil {
		fmt.Fprintf(w, "\n%d calls over REST in %.1f s.\n", s.rest.calls, time.Since(begun).Seconds())
		if c.Keep {
			now.runOn()
			fmt.Fprintln(w, "\nThe suite goes on serving; stop it with Ctrl-C. Try it as the city's office:")
			fmt.Fprintf(w, "  export YIZHEN_URL=%s TOKEN=%s\n", at.URL, tokens[cityOffice])
			fmt.Fprintln(w, `  curl -H "Authorization: Bearer $TOKEN" $YIZHEN_URL/v1/towns`)
			printEndpoints(w, at)
			<-ctx.Done()
		}
	}
	stop()
	return errors.Join(told, <-ended)
}

// storyClock stands wherever the story has come to, so that two runs write the same journal to the last bit. Once the
// story is told it runs on.
type storyClock struct {
	standing *clock.Manual
	running  clock.Shifted
	runs     atomic.Bool
}

func newStoryClock() *storyClock {
	return &storyClock{standing: clock.NewManual(time.Time{})}
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

// The offices that act in the story.
const (
	cityOffice   = "city/town-office"
	fundOffice   = "city/fund-office"
	maker        = "finance/chen"
	checker      = "finance/guo"
	payer        = "finance/ren"
	auditOffice  = "audit/office"
	countyPrefix = "county/"
)

// demoOffices makes a token for each office, and the credentials that admit them. No office can do another's part.
func demoOffices() (tokens map[string]string, credentials *authn.Credentials, err error) {
	offices := []authn.Principal{
		{Name: cityOffice, Division: cityDivision, Permissions: []string{"town.*", "project.*", "assessment.*"}},
		{Name: fundOffice, Division: cityDivision, Permissions: []string{
			"fund.budgets.*", "fund.lines.*", "fund.calls.*", "fund.applications.*", "fund.awards.*", "fund.tranches.*",
		}},
		{Name: maker, Division: cityDivision, Permissions: []string{"fund.disbursements.create", "*.get", "*.list"}},
		{Name: checker, Division: cityDivision, Permissions: []string{"fund.disbursements.check", "*.get", "*.list"}},
		{Name: payer, Division: cityDivision, Permissions: []string{
			"fund.disbursements.send", "fund.disbursements.confirm", "fund.disbursements.return", "*.get", "*.list",
		}},
		{Name: auditOffice, Division: cityDivision, Permissions: []string{
			"*.get", "*.list", "*.summarize", "*.rank", "*.evaluate", "*.verify", "fund.accounts.computeTrialBalance", "journal.*",
		}},
	}
	programme, err := readProgramme()
	if err != nil {
		return nil, nil, err
	}
	for _, county := range programme.Counties {
		offices = append(offices, authn.Principal{
			Name: countyPrefix + county.Code, Division: county.Code, Permissions: []string{
				"town.towns.*", "town.designations.create", "town.designations.submit", "town.designations.recommend",
				"town.enterprises.*", "town.reports.create", "town.reports.submit", "town.reports.verify", "town.policies.*",
				"town.assets.*", "project.*", "fund.applications.create", "fund.applications.submit", "fund.applications.check",
			},
		})
	}
	tokens = map[string]string{}
	for i, office := range offices {
		tokens[office.Name] = newToken()
		offices[i].TokenSHA256 = authn.Digest(tokens[office.Name])
	}
	credentials, err = authn.NewCredentials(offices...)
	return tokens, credentials, err
}
