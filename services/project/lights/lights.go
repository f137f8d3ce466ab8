// Package lights says which light a project shows on a day: green, yellow or red. A light is a conclusion from dated
// milestones and verified figures, so nobody can type one in, and it changes by itself as days pass.
//
// The programme asks for lights and does not say when they turn. The thresholds are our reading, so they are data, dated,
// and a project keeps those that held when it was entered.
package lights

import (
	"cmp"
	"math"
	"math/bits"
	"time"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/civil"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

// Thresholds say when a light turns.
type Thresholds struct {
	// DueSoonDays is how many days ahead a milestone that is not reported turns it yellow. One whose day is past turns
	// it red.
	DueSoonDays int
	// YellowUnderBP and RedUnderBP are shares of the investment scheduled, in basis points. Less investment than that
	// turns it.
	YellowUnderBP, RedUnderBP int32
}

// Edition is thresholds with the day from which they hold.
type Edition struct {
	From *date.Date
	Thresholds
}

// Editions returns our reading, oldest first. A change is a new line, never an edit of an old one.
func Editions() []Edition {
	return []Edition{
		{From: civil.New(2023, 1, 1), Thresholds: Thresholds{DueSoonDays: 30, YellowUnderBP: 8000, RedUnderBP: 6000}},
	}
}

// In returns the thresholds that hold on a day: the last that have begun, or the first if none has.
func In(editions []Edition, day *date.Date) Thresholds {
	held := editions[0].Thresholds
	for _, e := range editions {
		if civil.Compare(e.From, day) <= 0 {
			held = e.Thresholds
		}
	}
	return held
}

// Of returns the light of a project on a day, and why it is not green. A project that is suspended, at capacity or
// cancelled shows none.
func Of(p *projectv1.Project, today *date.Date, t Thresholds) (projectv1.Project_Light, []*projectv1.LightCause) {
	switch p.GetState() {
	case projectv1.Project_STATE_SUSPENDED, projectv1.Project_STATE_AT_CAPACITY, projectv1.Project_STATE_CANCELLED:
		return projectv1.Project_LIGHT_UNSPECIFIED, nil
	}
	light := projectv1.Project_LIGHT_GREEN
	var causes []*projectv1.LightCause
	for _, cause := range []*projectv1.LightCause{milestoneCause(p, today, t), investmentCause(p, t)} {
		if cause != nil {
			causes = append(causes, cause)
			light = max(light, cause.GetLight()) // the enum is in the order of gravity
		}
	}
	return light, causes
}

func milestoneCause(p *projectv1.Project, today *date.Date, t Thresholds) *projectv1.LightCause {
	if p.GetNextDueDate() == nil {
		return nil
	}
	cause := &projectv1.LightCause{Milestone: p.GetNextMilestone()}
	switch ahead := days(today, p.GetNextDueDate()); {
	case ahead < 0:
		cause.Kind, cause.Light = projectv1.LightCause_KIND_MILESTONE_OVERDUE, projectv1.Project_LIGHT_RED
		cause.Days = int32(-ahead)
	case ahead <= t.DueSoonDays:
		cause.Kind, cause.Light = projectv1.LightCause_KIND_MILESTONE_DUE_SOON, projectv1.Project_LIGHT_YELLOW
		cause.Days = int32(ahead)
	default:
		return nil
	}
	return cause
}

func investmentCause(p *projectv1.Project, t Thresholds) *projectv1.LightCause {
	if p.GetScheduledInvestmentFen() == 0 {
		return nil
	}
	cause := &projectv1.LightCause{
		Kind:       projectv1.LightCause_KIND_INVESTMENT_BEHIND,
		ProgressBp: ShareBP(p.GetActualInvestmentFen(), p.GetScheduledInvestmentFen()),
	}
	switch {
	case cause.GetProgressBp() < t.RedUnderBP:
		cause.Light = projectv1.Project_LIGHT_RED
	case cause.GetProgressBp() < t.YellowUnderBP:
		cause.Light = projectv1.Project_LIGHT_YELLOW
	default:
		return nil
	}
	return cause
}

// Next returns the milestone of a project that is due first of those that are not reported, or nil. Of several on one day
// it is the first by name.
func Next(milestones []*projectv1.Milestone) *projectv1.Milestone {
	var next *projectv1.Milestone
	for _, m := range milestones {
		if m.GetState() != projectv1.Milestone_STATE_PENDING {
			continue
		}
		if next == nil || cmp.Or(civil.Compare(m.GetDueDate(), next.GetDueDate()), cmp.Compare(m.GetName(), next.GetName())) < 0 {
			next = m
		}
	}
	return next
}

// ShareBP returns part over whole in basis points, rounded down. The whole is more than 0 and the part not less. A share
// too large for 32 bits is given as the largest.
func ShareBP(part, whole int64) int32 {
	const basis = 10_000
	high, low := bits.Mul64(uint64(part), basis)
	if high >= uint64(whole) {
		return math.MaxInt32
	}
	share, _ := bits.Div64(high, low, uint64(whole))
	return int32(min(share, math.MaxInt32))
}

// days returns how many days it is from one day to another; the city's zone has no summer time, so a day is 24 hours.
func days(from, to *date.Date) int {
	return int(civil.Start(to).Sub(civil.Start(from)) / (24 * time.Hour))
}
